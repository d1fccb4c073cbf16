package main

import "sync"

// remains is what there is to put right, and to name, when the program gives
// up.
type remains struct {
	mu        sync.Mutex
	sandbox   string
	restore   func() error
	lost      func() // tells the terminal's keys that the command is out of reach
	interrupt func() // is what Ctrl-C does where keys are the program's own
}

func (r *remains) setInterrupt(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.interrupt = f
}

func (r *remains) setLost(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lost = f
}

// lineLost reports whether there is a terminal whose command is out of reach
// now.
func (r *remains) lineLost() bool {
	r.mu.Lock()
	lost := r.lost
	r.mu.Unlock()
	if lost == nil {
		return false
	}
	lost()
	return true
}

// interrupted does what Ctrl-C does.
func (r *remains) interrupted() {
	r.mu.Lock()
	interrupt := r.interrupt
	r.mu.Unlock()
	if interrupt != nil {
		interrupt()
	}
}

// saneUnless restores the terminal where a panic is about to end the program.
func (r *remains) saneUnless(returned *bool) {
	if *returned {
		return
	}
	r.mu.Lock()
	restore := r.restore
	r.mu.Unlock()
	if restore != nil {
		_ = restore()
	}
}

func (r *remains) setSandbox(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sandbox = name
}

func (r *remains) setTerminal(restore func() error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.restore = restore
}
