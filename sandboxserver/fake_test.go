package sandboxserver

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"slices"
	"sync"
	"syscall"

	"github.com/langsandbox/sandbox-go/internal/runtime"
)

// fakeRuntime starts sandboxes that do nothing, unless a test says what.
type fakeRuntime struct {
	mu     sync.Mutex
	boxes  []*fakeBox
	create func(context.Context, runtime.Spec) error // before a start
	exec   func(*fakeBox, runtime.Command) (runtime.Process, error)
	open   func(name string, flag int) (*os.File, error)
	dial   func(ctx context.Context, network, address string) (net.Conn, error)
	stop   func() error
	listen func() (net.Listener, error)
	specs  []runtime.Spec
	ids    int // of its sandboxes

	capture func(context.Context, runtime.CaptureSpec) (runtime.Captured, error)
}

func newFakeRuntime() *fakeRuntime { return &fakeRuntime{} }

func (f *fakeRuntime) Features() runtime.Features { return runtime.Features{IDs: f.ids} }

func (f *fakeRuntime) Isolation() runtime.Isolation { return runtime.IsolationNative }

func (f *fakeRuntime) Create(ctx context.Context, spec runtime.Spec) (runtime.Sandbox, error) {
	f.mu.Lock()
	create := f.create
	f.mu.Unlock()
	if create != nil {
		if err := create(ctx, spec); err != nil {
			return nil, err
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	b := &fakeBox{f: f, spec: spec, done: make(chan struct{})}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.specs = append(f.specs, spec)
	f.boxes = append(f.boxes, b)
	return b, nil
}

// Reopen finds what a fake of the same name has left, which is anything.
func (f *fakeRuntime) Reopen(spec runtime.Spec) (runtime.Sandbox, error) {
	b := &fakeBox{f: f, spec: spec, done: make(chan struct{})}
	b.end()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.boxes = append(f.boxes, b)
	return b, nil
}

// RemoveSnapshot removes what a fake capture made.
func (f *fakeRuntime) RemoveSnapshot(dir string) error {
	return errors.Join(os.RemoveAll(dir), os.RemoveAll(dir+".partial"))
}

// onCreate says what happens at the starts from now on.
func (f *fakeRuntime) onCreate(create func(context.Context, runtime.Spec) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.create = create
}

func (f *fakeRuntime) Close() error {
	f.mu.Lock()
	boxes := slices.Clone(f.boxes)
	f.mu.Unlock()
	for _, b := range boxes {
		_ = b.Close()
	}
	return nil
}

// running counts sandboxes that are up.
func (f *fakeRuntime) running() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, b := range f.boxes {
		if b.alive() {
			n++
		}
	}
	return n
}

func (f *fakeRuntime) started() []runtime.Spec {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.specs)
}

// find returns the latest sandbox of an id.
func (f *fakeRuntime) find(id string) *fakeBox {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, b := range slices.Backward(f.boxes) {
		if b.spec.ID == id {
			return b
		}
	}
	return nil
}

type fakeBox struct {
	f    *fakeRuntime
	spec runtime.Spec
	once sync.Once
	done chan struct{}
}

func (b *fakeBox) alive() bool {
	select {
	case <-b.done:
		return false
	default:
		return true
	}
}

func (b *fakeBox) Start(ctx context.Context, cmd runtime.Command) (runtime.Process, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if b.f.exec != nil {
		return b.f.exec(b, cmd)
	}
	return &fakeProcess{box: b, killed: make(chan struct{})}, nil
}

func (b *fakeBox) OpenFile(_ context.Context, name string, flag int, _ fs.FileMode) (*os.File, error) {
	if b.f.open != nil {
		return b.f.open(name, flag)
	}
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}

func (b *fakeBox) OpenDir(_ context.Context, name string) (*os.File, error) {
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}

// Dial reaches nothing, unless a test says what.
func (b *fakeBox) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	if b.f.dial != nil {
		return b.f.dial(ctx, network, address)
	}
	return nil, &net.OpError{Op: "dial", Net: network, Err: syscall.ECONNREFUSED}
}

// Listen cannot: there is nobody in a fake who could connect.
func (b *fakeBox) Listen(context.Context) (net.Listener, error) {
	if b.f.listen != nil {
		return b.f.listen()
	}
	return nil, runtime.ErrUnsupported
}

func (b *fakeBox) Home() string          { return "/root" }
func (b *fakeBox) Done() <-chan struct{} { return b.done }
func (b *fakeBox) Close() error          { b.end(); return nil }
func (b *fakeBox) end()                  { b.once.Do(func() { close(b.done) }) }

// Capture makes a directory, as large as the test says. The files of a sandbox
// that was started again are the later one's.
func (b *fakeBox) Capture(ctx context.Context, spec runtime.CaptureSpec) (runtime.Captured, error) {
	if b.f.find(b.spec.ID) != b {
		return runtime.Captured{}, runtime.ErrClosed
	}
	b.f.mu.Lock()
	capture := b.f.capture
	b.f.mu.Unlock()
	if capture == nil {
		return runtime.Captured{Bytes: 4096, Entries: 1}, os.Mkdir(spec.Dir, 0o700)
	}
	return capture(ctx, spec)
}

func (b *fakeBox) Stop() error {
	b.end()
	if b.f.stop != nil {
		return b.f.stop()
	}
	return nil
}

// fakeProcess runs until it is killed, or ends at once when it has a status.
type fakeProcess struct {
	box    *fakeBox
	status *runtime.ExitStatus
	once   sync.Once
	killed chan struct{}
}

func (p *fakeProcess) PID() int    { return 2 }
func (p *fakeProcess) Kill() error { p.once.Do(func() { close(p.killed) }); return nil }

func (p *fakeProcess) Wait(ctx context.Context) (runtime.ExitStatus, error) {
	if p.status != nil {
		return *p.status, nil
	}
	select {
	case <-p.killed:
		return runtime.ExitStatus{Code: 137, Signal: 9}, nil
	case <-p.box.done:
		return runtime.ExitStatus{}, runtime.ErrClosed
	case <-ctx.Done():
		return runtime.ExitStatus{}, cmp.Or(context.Cause(ctx), ctx.Err())
	}
}
