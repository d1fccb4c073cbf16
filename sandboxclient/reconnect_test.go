package sandboxclient_test

import (
	"testing"
	"testing/synctest"
)

func TestT101ContinueAfterALoss(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := scripted(t, func(c *conn) {
			c.until("execute")
			c.send(started, stdout("one", 0))
			c.link.cut()
		}, func(c *conn) {
			c.until("reconnect")
			c.send(stdout("two", 3), exit(0))
			c.drain()
		})
		r, err := p.box().Run(t.Context(), "x", nil)
		if err != nil || r.Stdout != "onetwo" {
			t.Errorf("%+v, %v", r, err)
		}
		p.close()
	})
}
