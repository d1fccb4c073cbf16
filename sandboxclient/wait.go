package sandboxclient

import (
	"context"
	"time"
)

// WaitOptions bounds the wait for a sandbox or a snapshot. A nil pointer is
// the zero value.
type WaitOptions struct {
	// Timeout bounds the wait, besides the context; 0 is no bound, a negative
	// one asks once. A last request is made when it ends.
	Timeout time.Duration
	// Interval is the pause between two requests; 0 is one second for a
	// sandbox and two for a snapshot.
	Interval time.Duration
	// NoWait has Start, Create and Capture return as soon as the server has
	// begun; what only waits ignores it.
	NoWait bool
}

// poll asks until it is done, or until there is no time left, which late makes
// an error of.
func (o WaitOptions) poll(ctx context.Context, interval time.Duration, ask func() (done bool, err error), late func(cause error) error) error {
	if o.Interval > 0 {
		interval = o.Interval
	}
	start := time.Now()
	for {
		if done, err := ask(); done || err != nil {
			return err
		}
		pause := interval
		if o.Timeout != 0 {
			left := o.Timeout - time.Since(start)
			if left <= 0 {
				return late(nil)
			}
			pause = min(pause, left)
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return late(ctx.Err())
		}
	}
}
