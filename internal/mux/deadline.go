package mux

import (
	"sync"
	"time"
)

// deadline is a point in time that may move. The owner's lock guards it.
type deadline struct {
	timer  *time.Timer
	passed bool
	epoch  uint64 // counts the moves, so that an old timer does nothing
}

// set moves the deadline; changed is called with the lock held when it has
// passed.
func (d *deadline) set(mu *sync.Mutex, t time.Time, changed func()) {
	d.stop()
	left := time.Until(t)
	d.passed = !t.IsZero() && left <= 0
	if !t.IsZero() && !d.passed {
		epoch := d.epoch
		d.timer = time.AfterFunc(left, func() {
			mu.Lock()
			defer mu.Unlock()
			if d.epoch == epoch {
				d.passed = true
				changed()
			}
		})
	}
	changed()
}

func (d *deadline) stop() {
	d.epoch++
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
}
