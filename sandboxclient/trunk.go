package sandboxclient

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/langsandbox/sandbox-go/internal/mux"
)

const (
	// trunkIdle is how long a connection without streams is kept.
	trunkIdle = 10 * time.Second
	// trunkAttempts is how often it is tried to be made.
	trunkAttempts = 4
)

// trunk is the connection that the tunnels of a sandbox share. It is made when
// it is needed, once for all who need it, and closed when nobody does.
type trunk struct {
	mu      sync.Mutex
	session *mux.Session // the latest; may have ended
	users   int          // of session
	flight  *flight      // the connection on its way, or nil
	idle    *time.Timer
}

// flight is a connection that is being made.
type flight struct {
	done    chan struct{}
	cancel  context.CancelFunc
	waiting int
	session *mux.Session
	err     error
}

// hold is the use of a connection.
type hold struct {
	*mux.Session

	trunk  *trunk
	reused bool // was there before
	once   sync.Once
}

// acquire returns the connection of a sandbox, and makes it if there is none.
// One that was lost is made anew within that many attempts. The caller releases
// it.
func (s *Sandbox) acquire(ctx context.Context, attempts int) (*hold, error) {
	t := &s.trunk
	t.mu.Lock()
	if h := t.take(true); h != nil {
		t.mu.Unlock()
		return h, nil
	}
	f := t.flight
	if f == nil {
		if t.session == nil {
			attempts = trunkAttempts
		} else if attempts < 1 {
			defer t.mu.Unlock()
			return nil, lostTrunk(s.Name(), t.session.Err())
		}
		f = s.fly(ctx, attempts, t.session != nil)
	}
	f.waiting++
	t.mu.Unlock()
	select {
	case <-f.done:
	case <-ctx.Done():
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if f.waiting--; f.waiting == 0 {
		f.cancel()
		if t.flight == f {
			t.flight = nil
		}
		defer t.expire()
	}
	if err := ctx.Err(); err != nil {
		return nil, &APIError{Op: opTunnel, Name: s.Name(), Message: context.Cause(ctx).Error(), kinds: kinds(ErrConnection), cause: context.Cause(ctx)}
	}
	if f.err != nil {
		return nil, f.err
	}
	if h := t.take(false); h != nil {
		return h, nil
	}
	return nil, lostTrunk(s.Name(), f.session.Err())
}

const opTunnel = "tunnel to sandbox"

func lostTrunk(name string, cause error) *APIError {
	return &APIError{
		Op: opTunnel, Name: name, Message: "the connection ended before the sandbox answered: " + cause.Error(),
		kinds: kinds(ErrConnection), cause: cause,
	}
}

// take is the use of a connection that is there. mu is held.
func (t *trunk) take(reused bool) *hold {
	if t.session == nil || t.session.Err() != nil {
		return nil
	}
	if t.idle != nil {
		t.idle.Stop()
	}
	t.users++
	return &hold{Session: t.session, trunk: t, reused: reused}
}

// release ends a use.
func (h *hold) release() {
	h.once.Do(func() {
		t := h.trunk
		t.mu.Lock()
		defer t.mu.Unlock()
		if t.session == h.Session {
			t.users--
			t.expire()
		}
	})
}

// expire closes a connection later that has no users now. mu is held.
func (t *trunk) expire() {
	if t.users > 0 || t.session == nil {
		return
	}
	session := t.session
	if t.idle != nil {
		t.idle.Stop()
	}
	t.idle = time.AfterFunc(trunkIdle, func() { t.drop(session) })
}

// drop closes a connection without users.
func (t *trunk) drop(session *mux.Session) {
	t.mu.Lock()
	unused := t.session == session && t.users == 0
	if unused {
		t.session = nil
	}
	t.mu.Unlock()
	if unused {
		_ = session.Close()
	}
}

// closeUnused closes the connection at once if it has no users.
func (t *trunk) closeUnused() {
	t.mu.Lock()
	session := t.session
	if t.idle != nil {
		t.idle.Stop()
	}
	t.mu.Unlock()
	if session != nil {
		t.drop(session)
	}
}

// fly begins to make a connection. It goes on as long as somebody waits. mu of
// the trunk is held.
func (s *Sandbox) fly(ctx context.Context, attempts int, again bool) *flight {
	within, cancel := context.WithCancel(context.WithoutCancel(ctx))
	f := &flight{done: make(chan struct{}), cancel: cancel}
	s.trunk.flight = f
	go func() {
		session, err := s.connectTrunk(within, attempts, again)
		t := &s.trunk
		t.mu.Lock()
		defer t.mu.Unlock()
		f.session, f.err = session, err
		switch {
		case t.flight == f:
			t.flight = nil
			if err == nil {
				t.session, t.users = session, 0
			}
		case err == nil: // nobody waits
			go session.Close()
		}
		close(f.done)
	}()
	return f
}

// connectTrunk makes a connection, and tries again when a sandbox is starting.
func (s *Sandbox) connectTrunk(ctx context.Context, attempts int, again bool) (*mux.Session, error) {
	d, err := s.dialer(ctx, operation{name: opTunnel, rules: [][]rule{dataplane}}, tunnelStream)
	if err != nil {
		return nil, err
	}
	pace := starting(d.policy)
	for tried := 1; ; tried++ {
		session, err := s.dialTrunk(ctx, d)
		if err == nil || permanent(err) || ctx.Err() != nil {
			return session, err
		}
		if tried >= attempts {
			if again {
				err = fmt.Errorf("reconnect failed after %d attempts: %w", tried, err)
			}
			return nil, err
		}
		pace.failed(retryAfter(err))
		if pace.left() <= pace.pause {
			return nil, err
		}
		timer := time.NewTimer(pace.pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, err
		}
	}
}

func (s *Sandbox) dialTrunk(ctx context.Context, d *dialer) (*mux.Session, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, d.policy.OpenTimeout, errOpenTimeout)
	defer cancel()
	var wire *mux.Wire
	conn, release, err := d.connect(ctx, func(rwc io.ReadWriteCloser) io.ReadWriteCloser {
		wire = mux.NewWire(rwc)
		return wire
	})
	if err != nil {
		return nil, err
	}
	session := mux.New(&trunkConn{mux.WebSocket(conn, wire), func() { release(nil) }}, mux.Config{})
	s.c.addTrunk(session)
	return session, nil
}

// trunkConn ends what the handshake began with the connection.
type trunkConn struct {
	mux.Conn

	release func()
}

func (c *trunkConn) Close() error {
	defer c.release()
	return c.Conn.Close()
}

func (c *trunkConn) Abort() {
	defer c.release()
	c.Conn.Abort()
}

// addTrunk has Close know of a connection.
func (c *Client) addTrunk(session *mux.Session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.trunks == nil {
		c.trunks = make(map[*mux.Session]struct{})
	}
	c.trunks[session] = struct{}{}
	session.OnEnd(func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.trunks, session)
	})
}

func (c *Client) closeTrunks() {
	c.mu.Lock()
	var ended sync.WaitGroup
	for session := range c.trunks {
		ended.Go(func() { _ = session.Close() })
	}
	c.mu.Unlock()
	ended.Wait()
}
