//go:build unix

package runtime

import (
	"errors"
	"net"
	"testing"
	"time"
)

// TestListen: who is in the sandbox gets through, who is on the host does not.
func TestListen(t *testing.T) {
	everyMode(t, func(t *testing.T, rt Runtime) {
		box := create(t, rt, Spec{ID: "box"})
		l, err := box.Listen(t.Context())
		if rt.Isolation().Strength() < IsolationNative.Strength() {
			if !errors.Is(err, ErrUnsupported) {
				t.Errorf("without isolation: %v", err)
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		address := l.Addr().String()
		if conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", address); err == nil {
			conn.Close()
			t.Error("the host can connect")
		}
		conn, err := box.Dial(t.Context(), "tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		got, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer got.Close()
		got.SetDeadline(time.Now().Add(timeout))
		if _, err := conn.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		if _, err := got.Read(make([]byte, 1)); err != nil {
			t.Error(err)
		}
		if err := box.Stop(); err != nil {
			t.Fatal(err)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		if _, err := box.Listen(t.Context()); !errors.Is(err, ErrClosed) {
			t.Errorf("after the end: %v", err)
		}
	})
}

func TestListenOnHostNetwork(t *testing.T) {
	everyMode(t, func(t *testing.T, rt Runtime) {
		if _, err := create(t, rt, Spec{ID: "box", HostNetwork: true}).Listen(t.Context()); !errors.Is(err, ErrUnsupported) {
			t.Errorf("%v", err)
		}
	})
}
