package sandboxclient

import (
	"math/rand/v2"
	"time"
)

// backoff paces the attempts to reach a command, and says when to give up. It
// belongs to one goroutine.
type backoff struct {
	policy   CommandPolicy
	budget   time.Duration
	retries  int
	deadline time.Time // of the budget; zero until something failed
	failures int       // attempts and connections, in a row
	lost     int       // connections, in a row
	refused  int       // connections that the server would rather not have, without output between
	reload   time.Time // when a server last said that it would be back at once
	start    bool      // of a command that was not reached yet
	pause    time.Duration
}

// starting is the pace of a start, whose budget begins now.
func starting(p CommandPolicy) *backoff {
	b := &backoff{policy: p, budget: p.StartBudget, retries: p.StartRetries, start: true}
	b.deadline = after(time.Now(), b.budget)
	return b
}

// reconnecting is the pace of a command that was reached before.
func reconnecting(p CommandPolicy) *backoff {
	return &backoff{policy: p, budget: p.ReconnectBudget, retries: p.ReconnectRetries}
}

func after(t time.Time, d time.Duration) time.Time {
	if d == forever {
		return time.Time{}
	}
	return t.Add(d)
}

// progress forgets the failures.
func (b *backoff) progress() {
	b.failures, b.lost, b.pause, b.deadline = 0, 0, 0, time.Time{}
}

// failed counts an attempt that came to nothing; asked is the pause that the
// server asks for, or 0.
func (b *backoff) failed(asked time.Duration) {
	if b.failures == 0 && b.deadline.IsZero() {
		b.deadline = after(time.Now(), b.budget)
	}
	b.failures++
	b.pause = b.policy.BaseDelay << min(b.failures-1, 30)
	if b.pause > b.policy.MaxDelay || b.pause < 0 {
		b.pause = b.policy.MaxDelay
	}
	b.pause -= time.Duration(b.policy.Jitter * rand.Float64() * float64(b.pause)) //nolint:gosec // spreads load, hides nothing
	if asked > 0 {
		b.pause = asked
	}
}

// dropped counts a connection that was lost; reload is a server that says it
// will be back at once.
func (b *backoff) dropped(reload bool) {
	b.failed(0)
	b.lost++
	if reload {
		if b.failures == 1 && time.Since(b.reload) > b.policy.MaxDelay {
			b.pause = 0
		}
		b.reload = time.Now()
	}
}

// left is what remains of the budget.
func (b *backoff) left() time.Duration {
	if b.deadline.IsZero() {
		return forever
	}
	return time.Until(b.deadline)
}

// spent reports whether no further attempt may be made. Attempts to reach a
// running command again may fail for as long as the budget lasts: what counts
// are connections that came to nothing.
func (b *backoff) spent() bool {
	count := b.lost
	if b.start {
		count = b.failures
	}
	return count > b.retries || b.left() <= 0
}
