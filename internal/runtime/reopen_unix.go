//go:build unix

package runtime

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"sync"
)

// leftSandbox is a stopped sandbox whose files an earlier runtime has kept.
type leftSandbox struct {
	rt     *registry
	layers *layers
	id     string
	home   string
	mounts []Mount
	done   chan struct{} // closed
	copies func(context.Context, *leftSandbox, CaptureSpec) (Captured, error)

	closing  sync.Once
	closeErr error
}

// reopen finds the files of a sandbox that was kept.
func (r *registry) reopen(spec Spec, home string, l *layers, copies func(context.Context, *leftSandbox, CaptureSpec) (Captured, error)) (Sandbox, error) {
	spec, err := spec.checked()
	if err != nil {
		return nil, err
	}
	info, err := os.Lstat(l.path(spec.ID))
	if err == nil && !info.IsDir() {
		err = fs.ErrNotExist
	}
	s := &leftSandbox{rt: r, layers: l, id: spec.ID, home: home, mounts: spec.Mounts, copies: copies, done: make(chan struct{})}
	close(s.done)
	if err == nil {
		err = r.reopened(spec.ID, s)
	}
	if err != nil {
		return nil, fmt.Errorf("reopen sandbox %s: %w", spec.ID, err)
	}
	return s, nil
}

func (s *leftSandbox) Home() string          { return s.home }
func (s *leftSandbox) Done() <-chan struct{} { return s.done }
func (s *leftSandbox) Stop() error           { return nil }

// Close removes the files unless a later sandbox has them.
func (s *leftSandbox) Close() error {
	s.closing.Do(func() { s.closeErr = s.rt.release(s.id, s, s.layers.remove) })
	return s.closeErr
}

// Capture copies the files.
func (s *leftSandbox) Capture(ctx context.Context, spec CaptureSpec) (Captured, error) {
	return s.copies(ctx, s, spec)
}

func (s *leftSandbox) Start(context.Context, Command) (Process, error) { return nil, ErrClosed }

func (s *leftSandbox) Dial(_ context.Context, network, _ string) (net.Conn, error) {
	return nil, &net.OpError{Op: "dial", Net: network, Err: ErrClosed}
}

func (s *leftSandbox) Listen(context.Context) (net.Listener, error) { return nil, ErrClosed }

func (s *leftSandbox) OpenFile(_ context.Context, name string, _ int, _ fs.FileMode) (*os.File, error) {
	return nil, s.closed(name)
}

func (s *leftSandbox) OpenDir(_ context.Context, name string) (*os.File, error) {
	return nil, s.closed(name)
}

func (s *leftSandbox) closed(name string) error {
	return &fs.PathError{Op: "open", Path: name, Err: ErrClosed}
}

// Sync has the file system that a directory is in write everything down, so
// that it outlives a loss of power.
func Sync(dir string) error {
	file, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = syncAll(file)
	return errors.Join(err, file.Close())
}
