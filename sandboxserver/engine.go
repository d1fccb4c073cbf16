package sandboxserver

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"github.com/langsandbox/sandbox-go/internal/egress"
	"github.com/langsandbox/sandbox-go/internal/image"
	"github.com/langsandbox/sandbox-go/internal/runtime"
	"github.com/langsandbox/sandbox-go/internal/session"
)

// closeTimeout bounds how long Close waits for sandboxes and requests to end.
const closeTimeout = 15 * time.Second

// engine keeps volumes, templates, pools, registries and sandboxes, and everything that
// happens to them without a request: starts, refills and timers. It knows
// nothing of HTTP.
//
// One mutex guards all of it, because almost every rule spans kinds. It is
// never held over a call of the runtime: those run as tasks.
type engine struct {
	rt      runtime.Runtime // set once
	log     *slog.Logger
	cfg     Config
	dir     string
	records *records // nil keeps nothing
	signer  *signer
	output  *session.Budget
	gateway *egress.Gateway
	images  *image.Store // nil pulls nothing

	features runtime.Features // of rt

	ctx    context.Context //nolint:containedctx // the server's: ends with it
	cancel context.CancelFunc
	tasks  sync.WaitGroup // added to with mu held and closed false only
	warmUp chan struct{}  // one token for each start a pool may do at once
	copies chan struct{}  // one token for each capture that goes on

	mu        sync.Mutex
	closed    bool
	seq       uint64
	volumes   store[*volume]
	templates store[*template]
	pools     store[*pool]
	boxes     store[*box]

	registries store[*registry]
	snapshots  store[*snapshot] // by id only: names are shared
	builtin    *snapshot
}

func newEngine(cfg Config, gateway *egress.Gateway, dir string) *engine {
	e := &engine{
		gateway: gateway, log: cfg.Logger, cfg: cfg, dir: dir,
		output:    session.NewBudget(outputBudget),
		warmUp:    make(chan struct{}, 4),
		copies:    make(chan struct{}, 4),
		volumes:   newStore[*volume]("volume"),
		templates: newStore[*template]("template"),
		pools:     newStore[*pool]("pool"),
		boxes:     newStore[*box]("sandbox"),

		registries: newStore[*registry]("registry"),
		snapshots:  newStore[*snapshot]("snapshot"),
		builtin:    builtin(),
	}
	e.ctx, e.cancel = context.WithCancel(context.Background())
	return e
}

// newMeta names a new thing. mu is held.
func (e *engine) newMeta(id, name string) meta {
	e.seq++
	now := time.Now().UTC()
	return meta{id: id, name: name, seq: e.seq, created: now, updated: now}
}

// newID returns a random UUID.
func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

func (e *engine) volumeDir(id string) string { return filepath.Join(e.dir, "volumes", id) }

// do runs a change of the stores under the lock, and keeps it on disk when it
// succeeded.
func (e *engine) do(change func() error) error {
	if err := e.look(change); err != nil {
		return err
	}
	return e.save()
}

// look runs something under the lock that leaves nothing to keep.
func (e *engine) look(f func() error) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return errClosing
	}
	return f()
}

var errClosing = &apiError{status: 503, code: codeUnavailable, message: "the server is shutting down"}

// transition is a call of the runtime on its way. err is set before done is
// closed.
type transition struct {
	done chan struct{}
	err  error
}

// wait waits for the end of a transition. When ctx ends first, the transition
// goes on.
func (t *transition) wait(ctx context.Context) error {
	select {
	case <-t.done:
		return t.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// arrived is a transition that is over.
var arrived = func() *transition {
	t := &transition{done: make(chan struct{})}
	close(t.done)
	return t
}()

// begin runs f as a task, after the transition before it. mu is held and the
// engine is open.
func (e *engine) begin(before *transition, f func() error) *transition {
	t := &transition{done: make(chan struct{})}
	e.tasks.Go(func() {
		defer close(t.done)
		if before != nil {
			<-before.done
		}
		t.err = f()
	})
	return t
}

// close ends all sandboxes, pools, timers and tasks.
func (e *engine) close() error {
	e.mu.Lock()
	e.closed = true
	e.rest()
	for _, p := range e.pools.all() {
		p.stopRetry()
	}
	e.mu.Unlock()
	e.cancel()
	ended := make(chan error, 1)
	go func() {
		var err error
		if e.rt != nil {
			err = e.rt.Close()
		}
		e.gateway.Close()
		e.tasks.Wait()
		ended <- errors.Join(err, e.closeImages(), e.closeRecords())
	}()
	select {
	case err := <-ended:
		return err
	case <-time.After(closeTimeout):
		return fmt.Errorf("sandboxes did not end within %v", closeTimeout)
	}
}

// closeSandbox ends a sandbox for good; a failure has nobody left to tell.
func (e *engine) closeSandbox(id string, sb runtime.Sandbox) {
	if err := sb.Close(); err != nil && !errors.Is(err, runtime.ErrClosed) {
		e.log.Warn("sandbox did not close", "sandbox", id, "error", err)
	}
}

// seconds turns a timer of the API into a duration, without overflow.
func seconds(n int) time.Duration {
	const century = 100 * 365 * 24 * 60 * 60
	return time.Duration(min(n, century)) * time.Second
}

func secondsOr(n int, fallback time.Duration) time.Duration {
	return cmp.Or(seconds(n), fallback)
}
