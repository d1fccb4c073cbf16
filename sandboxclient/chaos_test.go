package sandboxclient_test

import (
	"context"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

// chaos has one of many things go wrong now and then.
func chaos(random *rand.Rand) func(*model) {
	var mu sync.Mutex
	left := 3 + random.IntN(20)
	every := 2 + random.IntN(30)
	strike := func(c *conn, _ point) bool {
		mu.Lock()
		defer mu.Unlock()
		if left == 0 || random.IntN(every) > 0 {
			return true
		}
		left--
		switch random.IntN(9) {
		case 0, 1:
			return cut(c)
		case 2, 3:
			return reset(c)
		case 4:
			return freeze(c)
		case 5:
			return closes(websocket.StatusGoingAway)(c)
		case 6:
			return closes(websocket.StatusInternalError)(c)
		default:
			d := time.Duration(random.Int64N(int64(100 * ms)))
			time.AfterFunc(d, c.link.reset)
			return true
		}
	}
	return func(m *model) {
		m.strike = strike
		m.slices = random.IntN(4)
		m.rewinds = random.IntN(4) == 0
	}
}

// TestChaos has several things go wrong at once, at random.
func TestChaos(t *testing.T) {
	t.Parallel()
	outputs := []func() []piece{ordinary, narrow, replaced, large(8 << 10), func() []piece { return nil }}
	policy := steady
	policy.StartRetries, policy.ReconnectRetries, policy.StartBudget, policy.ReconnectBudget = 50, 50, -1, -1
	for seed := range uint64(200) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				random := rand.New(rand.NewPCG(seed, 1))
				all := scenarios()
				s, pieces := all[random.IntN(len(all))], outputs[random.IntN(len(outputs))]()
				if s.name == "Attach" && len(pieces) == 0 {
					pieces = ordinary()
				}
				m := newModel(t, program(pieces))
				m.options = append(m.options, sandboxclient.WithCommandPolicy(policy))
				chaos(random)(m)
				ctx, cancel := context.WithTimeout(t.Context(), 3*time.Hour)
				defer cancel()
				intact(t, m, s, s.run(ctx, m, options{timeout: -1}))
				if len(m.ran) != 1 {
					t.Errorf("the command ran %d times", len(m.ran))
				}
				m.close()
				if t.Failed() {
					t.Logf("%s on %d connections", s.name, len(m.connections()))
				}
			})
		})
	}
}
