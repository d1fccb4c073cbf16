package runtime

import (
	"errors"
	"fmt"
	"io/fs"
	"sync"
)

// registry knows who has the files of which sandbox: one that runs, one that
// was stopped, or nobody.
type registry struct {
	mu      sync.Mutex
	closed  bool
	swept   bool               // all files are gone, and the directory may be another's
	running map[string]Sandbox // nil while the files are being made or removed
	kept    map[string]*owner
	busy    sync.WaitGroup // creates
	readers map[string]*reader
	keeps   func(id string) bool // whose files outlive the runtime
}

// owner is a stopped sandbox, whose files are kept.
type owner struct {
	box    Sandbox
	closed bool // it was closed while a later one was taking its files over
}

func newRegistry(keeps func(id string) bool) *registry {
	return &registry{keeps: keeps, running: make(map[string]Sandbox), kept: make(map[string]*owner), readers: make(map[string]*reader)}
}

// reserve begins a create. It ends with add or abort.
func (r *registry) reserve(id string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return ErrClosed
	}
	if _, taken := r.running[id]; taken {
		return fmt.Errorf("sandbox %s: %w", id, fs.ErrExist)
	}
	r.running[id] = nil
	r.busy.Add(1)
	return nil
}

// add ends a create that went well: the files are the new sandbox's.
func (r *registry) add(id string, box Sandbox) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.running[id] = box
	delete(r.kept, id)
	r.busy.Done()
}

// abort ends a create that failed, and removes the files unless a stopped
// sandbox still has them.
func (r *registry) abort(id string, remove func(id string) error) error {
	defer r.busy.Done()
	r.mu.Lock()
	owner, kept := r.kept[id]
	if kept && owner.closed {
		delete(r.kept, id)
		kept = false
	}
	r.mu.Unlock()
	var err error
	if !kept {
		r.endReads(id)
		err = remove(id)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.running, id)
	return err
}

// stopped records that a sandbox does not run any more and keeps its files.
func (r *registry) stopped(id string, box Sandbox) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.running[id] == box {
		delete(r.running, id)
		r.kept[id] = &owner{box: box}
	}
}

// reopened enters a sandbox of an earlier runtime, as a stopped one.
func (r *registry) reopened(id string, box Sandbox) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return ErrClosed
	}
	_, running := r.running[id]
	if running || r.kept[id] != nil {
		return fs.ErrExist
	}
	r.kept[id] = &owner{box: box}
	return nil
}

// release removes the files of a stopped sandbox, unless they are another's
// by now, or went with the runtime.
func (r *registry) release(id string, box Sandbox, remove func(id string) error) error {
	r.mu.Lock()
	owner, ok := r.kept[id]
	if !ok || owner.box != box || r.swept {
		r.mu.Unlock()
		return nil
	}
	if _, taking := r.running[id]; taking {
		owner.closed = true
		r.mu.Unlock()
		return nil
	}
	delete(r.kept, id)
	r.running[id] = nil
	r.mu.Unlock()
	r.endReads(id)
	err := remove(id)
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.running, id)
	return err
}

// close refuses further creates and closes every sandbox that is left. It
// reports false when that was done before.
func (r *registry) close() (bool, error) {
	r.mu.Lock()
	first := !r.closed
	r.closed = true
	r.mu.Unlock()
	r.busy.Wait()
	if !first {
		return false, nil
	}
	r.mu.Lock()
	left := map[string]Sandbox{}
	for id, box := range r.running {
		if box != nil {
			left[id] = box
		}
	}
	r.mu.Unlock()
	var mu sync.Mutex
	var errs []error
	var closing sync.WaitGroup
	for id, box := range left {
		end := box.Close
		if r.keeps(id) {
			end = box.Stop
		}
		closing.Go(func() {
			err := end()
			mu.Lock()
			defer mu.Unlock()
			errs = append(errs, err)
		})
	}
	closing.Wait()
	r.endAllReads()
	r.mu.Lock()
	r.swept = true
	r.mu.Unlock()
	return true, errors.Join(errs...)
}
