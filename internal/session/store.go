package session

import (
	"context"
	"sync"
)

// Store keeps the commands of one sandbox. It is safe for concurrent use.
//
// Locks are taken in the order Store.mu, Session.mu, Store.taskMu.
type Store struct {
	opts   Options
	ctx    context.Context //nolint:containedctx // the sandbox's: ends with it
	cancel context.CancelFunc

	taskMu sync.Mutex
	closed bool           // guarded by taskMu
	tasks  sync.WaitGroup // added to with closed false, or by a task

	mu       sync.Mutex
	sessions map[string]*Session
	running  int
	ends     []*Session // ended ones, oldest first
	expired  expired
}

// NewStore returns a store that ends with ctx. The caller must Close it.
func NewStore(ctx context.Context, opts Options) *Store {
	st := &Store{opts: opts.withDefaults(), sessions: make(map[string]*Session)}
	st.ctx, st.cancel = context.WithCancel(ctx)
	return st
}

// begin runs f as a task, unless the store is closed.
func (st *Store) begin(f func()) bool {
	st.taskMu.Lock()
	defer st.taskMu.Unlock()
	if st.closed || st.ctx.Err() != nil {
		return false
	}
	st.tasks.Go(f)
	return true
}

// Execute starts a command and attaches to it, or attaches to the one that has
// the id already, from the beginning of its output. A start goes on when the
// context ends before it: who asks again for the id finds the command. The
// error is that of Options.Start, ErrExpired, ErrTooMany, ErrClosed or the
// context's.
func (st *Store) Execute(ctx context.Context, spec Spec) (*Attachment, error) {
	s, err := st.join(spec.ID, &spec) //nolint:contextcheck // the command outlives the request
	if err != nil {
		return nil, err
	}
	return s.await(ctx, Resume{})
}

// Resume says where a client goes on that was attached before.
type Resume struct {
	Stdout, Stderr int64 // offsets of the output
	// Writer is its hold on the standard input, from [Attachment.Writer]. The
	// attachment that has it is left: it is of a connection that is lost. Empty
	// or unknown is a new one.
	Writer string
}

// Reconnect attaches to a command where the client was before. The error is
// ErrNotFound, ErrExpired, ErrClosed or the context's.
func (st *Store) Reconnect(ctx context.Context, id string, r Resume) (*Attachment, error) {
	s, err := st.join(id, nil) //nolint:contextcheck // as above
	if err != nil {
		return nil, err
	}
	return s.await(ctx, r)
}

// join finds a session, or makes it where there is a spec. The caller counts
// as joining until await.
func (st *Store) join(id string, spec *Spec) (*Session, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	s := st.sessions[id]
	switch {
	case st.ctx.Err() != nil:
		return nil, ErrClosed
	case s != nil:
		s.mu.Lock()
		s.joining++
		s.mu.Unlock()
		return s, nil
	case st.expired.has(id):
		return nil, ErrExpired
	case spec == nil:
		return nil, ErrNotFound
	case st.running >= st.opts.Running:
		return nil, ErrTooMany
	}
	s = newSession(st, *spec)
	s.joining = 1
	if !st.begin(func() { st.start(s) }) {
		return nil, ErrClosed
	}
	st.sessions[id] = s
	st.running++
	return s, nil
}

// start starts a command. One that did not start leaves nothing behind, so
// that its id may be used again.
func (st *Store) start(s *Session) {
	s.begin()
	if s.err == nil {
		s.abandonIfUnread()
		return
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	delete(st.sessions, s.ID())
	st.running--
}

// await attaches once the command has started.
func (s *Session) await(ctx context.Context, r Resume) (*Attachment, error) {
	defer func() {
		s.mu.Lock()
		s.joining--
		s.wakePumps()
		s.mu.Unlock()
		s.abandonIfUnread()
	}()
	select {
	case <-s.started:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if s.err != nil {
		return nil, s.err
	}
	return s.attach(r)
}

// ended keeps the result of a command for a while.
func (st *Store) ended(s *Session) {
	st.mu.Lock()
	st.running--
	st.mu.Unlock()
	s.abandonIfUnread()
	if s.spec.Keep == 0 {
		return
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	st.ends = append(st.ends, s)
	if len(st.ends) > st.opts.Kept {
		st.forget(st.ends[0])
	}
	s.arm(func() {
		st.mu.Lock()
		defer st.mu.Unlock()
		st.forget(s)
	})
}

// forget ends the keeping of a result. mu is held.
func (st *Store) forget(s *Session) {
	if st.sessions[s.ID()] != s {
		return
	}
	delete(st.sessions, s.ID())
	for i, other := range st.ends {
		if other == s {
			st.ends = append(st.ends[:i], st.ends[i+1:]...)
			break
		}
	}
	st.expired.add(s.ID())
	s.drop()
}

// release ends the keeping of a result that was for its attachments only. Its
// id is not remembered.
func (st *Store) release(s *Session) {
	st.mu.Lock()
	defer st.mu.Unlock()
	s.mu.Lock()
	wanted := s.joining > 0 || len(s.attached) > 0 // again
	s.mu.Unlock()
	if !wanted && st.sessions[s.ID()] == s {
		delete(st.sessions, s.ID())
		s.drop()
	}
}

// Close ends what the store does, and waits for it. The sandbox has to end its
// processes.
func (st *Store) Close() {
	st.taskMu.Lock()
	st.closed = true
	st.taskMu.Unlock()
	st.cancel()
	st.tasks.Wait()
	st.mu.Lock()
	defer st.mu.Unlock()
	for id, s := range st.sessions {
		delete(st.sessions, id)
		s.drop()
	}
	st.ends = nil
}

// maxExpired bounds how many ids are remembered that are not to be used again.
const maxExpired = 1 << 14

// expired remembers the ids of commands whose results are gone: a late repeat
// of the start must not run the command again.
type expired struct {
	ids   map[string]bool
	order []string // round and round
	next  int
}

func (e *expired) has(id string) bool { return e.ids[id] }

func (e *expired) add(id string) {
	if e.ids == nil {
		e.ids = make(map[string]bool)
	}
	if len(e.order) < maxExpired {
		e.order = append(e.order, id)
	} else {
		delete(e.ids, e.order[e.next])
		e.order[e.next] = id
		e.next = (e.next + 1) % maxExpired
	}
	e.ids[id] = true
}
