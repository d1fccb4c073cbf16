//go:build unix

package runtime

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"github.com/langsandbox/sandbox-go/internal/sandboxagent/proctree"
)

// processRuntime is the runtime of IsolationProcess, and with a fence that of
// IsolationLandlock.
type processRuntime struct {
	*registry
	log    *slog.Logger
	layers *layers
	cookie string // begins those of the sandboxes
	guard  guard
	fence  fence
}

// fence keeps the commands of sandboxes in their directories.
type fence interface {
	// launch starts what starts a sandbox's commands. The sandbox ends when
	// that does.
	launch(ctx context.Context, box *processBox, spec Spec) (launcher, error)
	features() Features
	close()
}

// launcher starts a sandbox's commands.
type launcher interface {
	Start(ctx context.Context, spec Command) (Process, error)
	// listens reports whether a process of the sandbox listens on a port.
	listens(port uint16) (bool, error)
	// end ends all that was started.
	end() error
}

func newProcess(cfg Config) (Runtime, error) {
	layers, err := openLayers(cfg)
	if err != nil {
		return nil, err
	}
	return &processRuntime{registry: newRegistry(layers.keeps), log: cfg.Logger, layers: layers, cookie: newCookie("")}, nil
}

// Isolation reports what is in force.
func (r *processRuntime) Isolation() Isolation {
	if r.fence != nil {
		return IsolationLandlock
	}
	return IsolationProcess
}

// Features reports the details.
func (r *processRuntime) Features() Features {
	if r.fence != nil {
		return r.fence.features()
	}
	return Features{Unlimited: []string{"cpu, memory, pids and file sizes: there is no isolation"}}
}

// Create makes a sandbox's directory. Hostname and HostNetwork have no effect.
func (r *processRuntime) Create(ctx context.Context, spec Spec) (Sandbox, error) {
	spec, err := spec.checked()
	if err != nil {
		return nil, err
	}
	if spec.Image != nil {
		return nil, fmt.Errorf("%w: an image needs a root of its own", ErrUnsupported)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := r.reserve(spec.ID); err != nil {
		return nil, err
	}
	box, err := r.open(ctx, spec)
	if err != nil {
		err = fmt.Errorf("create sandbox %s: %w", spec.ID, err)
		return nil, errors.Join(err, r.abort(spec.ID, r.layers.remove))
	}
	r.add(spec.ID, box)
	return box, nil
}

// Reopen returns a sandbox that an earlier runtime has kept.
func (r *processRuntime) Reopen(spec Spec) (Sandbox, error) {
	home := filepath.Join(r.layers.path(spec.ID), processHome)
	return r.reopen(spec, home, r.layers, func(ctx context.Context, s *leftSandbox, into CaptureSpec) (Captured, error) {
		return r.capture(ctx, s.id, s, s.mounts, into)
	})
}

// RemoveSnapshot removes what Capture made.
func (r *processRuntime) RemoveSnapshot(dir string) error { return r.layers.removeSnapshot(dir) }

// Close closes every sandbox that is left and removes the runtime's files, but
// those that are kept.
func (r *processRuntime) Close() error {
	first, err := r.close()
	if !first {
		return nil
	}
	r.guard.close()
	if r.fence != nil {
		r.fence.close()
	}
	return errors.Join(err, r.layers.close())
}

// processHome is the home directory, below the sandbox's own.
const processHome = "/home/user"

func (r *processRuntime) open(ctx context.Context, spec Spec) (*processBox, error) {
	dir := r.layers.path(spec.ID)
	if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) && spec.Base != "" {
		if err := r.fill(ctx, dir, spec.Base); err != nil {
			return nil, err
		}
	}
	for _, name := range []string{"", "app", processHome, "tmp", "workspace"} {
		if err := makeDir(filepath.Join(dir, name)); err != nil {
			return nil, err
		}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	for _, m := range spec.Mounts {
		if m.ReadOnly && r.fence == nil {
			err = fmt.Errorf("%w: a mount that can only be read", ErrUnsupported)
		} else {
			err = linkMount(root, m)
		}
		if err != nil {
			return nil, errors.Join(err, root.Close())
		}
	}
	box := &processBox{
		rt:       r,
		id:       spec.ID,
		dir:      dir,
		root:     root,
		mounts:   spec.Mounts,
		cookie:   newCookie(r.cookie + "."),
		commands: make(map[*processCommand]bool),
		done:     make(chan struct{}),
		leaving:  make(chan struct{}),
	}
	if r.fence == nil {
		return box, nil
	}
	if box.launcher, err = r.fence.launch(ctx, box, spec); err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return box, nil
}

// makeDir leaves what a stopped sandbox has put in place of a directory.
func makeDir(name string) error {
	if _, err := os.Lstat(name); err == nil {
		return nil
	}
	return os.MkdirAll(name, 0o755)
}

// linkMount shows a mount as a link. An empty directory in its place goes.
func linkMount(root *os.Root, m Mount) error {
	if err := m.checkSource(); err != nil {
		return err
	}
	name := strings.TrimPrefix(m.Target, "/")
	if err := root.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	if err := root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return root.Symlink(m.Source, name)
}

// processBox is a sandbox of the process runtime: a directory, and the
// commands that were started in it.
type processBox struct {
	rt     *processRuntime
	id     string
	dir    string
	root   *os.Root
	mounts []Mount
	cookie string // begins those of the commands
	// launcher starts the commands behind a fence; without one, the server does.
	launcher launcher
	done     chan struct{}
	// leaving is closed when the end begins.
	leaving chan struct{}

	ending, closing  sync.Once
	endErr, closeErr error

	mu       sync.Mutex
	ended    bool
	starting sync.WaitGroup
	waiting  sync.WaitGroup
	commands map[*processCommand]bool // also ended ones that left something behind
}

// Home is the home directory, where commands see it.
func (b *processBox) Home() string { return filepath.Join(b.dir, processHome) }

// Done is closed when the sandbox has ended.
func (b *processBox) Done() <-chan struct{} { return b.done }

// Stop kills what the sandbox's commands have started and keeps its files.
func (b *processBox) Stop() error {
	err := b.end()
	b.rt.stopped(b.id, b)
	return err
}

// Close is Stop, and removes the files unless a later sandbox has them.
func (b *processBox) Close() error {
	b.closing.Do(func() {
		b.closeErr = errors.Join(b.Stop(), b.rt.release(b.id, b, b.rt.layers.remove))
	})
	return b.closeErr
}

func (b *processBox) end() error {
	b.ending.Do(func() {
		b.mu.Lock()
		b.ended = true
		b.mu.Unlock()
		close(b.leaving)
		b.starting.Wait()
		b.endErr = b.killAll()
		if b.endErr == nil {
			b.waiting.Wait()
		}
		b.endErr = errors.Join(b.endErr, b.root.Close())
		close(b.done)
	})
	return b.endErr
}

func (b *processBox) killAll() error {
	if b.launcher != nil {
		return b.launcher.end()
	}
	b.mu.Lock()
	var left []*processCommand
	for cmd := range b.commands {
		left = append(left, cmd)
	}
	b.mu.Unlock()
	// The box's part of the cookie also finds what ended commands have left.
	tree := proctree.Tree{Cookie: b.cookie + "."}
	for _, cmd := range left {
		cmd.addTo(&tree)
	}
	tree.Signal = func(sig syscall.Signal) {
		for _, cmd := range left {
			cmd.signalGroup(sig)
		}
	}
	return tree.Kill()
}
