package runtime

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// freezer stops all commands of a sandbox while its files are taken. Only the
// second version of cgroups will do: what is frozen in it can be killed, so
// that nothing is left of a sandbox whose server dies meanwhile. The agent goes
// on, to notice that.
type freezer struct {
	mu     sync.Mutex
	users  int           // captures that go on
	thawed chan struct{} // closed when none are left; nil while commands run
}

const (
	freezeFile = "cgroup.freeze"
	agentLeaf  = "agent"

	// freezeTimeout bounds how long commands take to stop: one that waits for
	// a disk does so when it is done.
	freezeTimeout = 10 * time.Second
)

// takeLeaf returns a cgroup for a command, when commands may start: a freeze
// knows all there are then.
func (s *sandbox) takeLeaf(ctx context.Context) (*leaf, uint64, error) {
	f := &s.freezer
	for {
		f.mu.Lock()
		thawed := f.thawed
		if thawed == nil {
			defer f.mu.Unlock()
			return s.leaves.take()
		}
		f.mu.Unlock()
		select {
		case <-thawed:
		case <-s.done:
			return nil, 0, ErrClosed
		case <-ctx.Done():
			return nil, 0, ctx.Err()
		}
	}
}

// freeze stops the commands of a sandbox and returns what makes them go on,
// which is to be called. Without a cgroup, and after the end of the sandbox, it
// does nothing.
func (s *sandbox) freeze(ctx context.Context) (thaw func(), err error) {
	select {
	case <-s.done:
		return func() {}, nil
	default:
	}
	if s.cgroup == nil {
		return func() {}, nil
	}
	f := &s.freezer
	f.mu.Lock()
	f.users++
	if f.thawed == nil {
		f.thawed = make(chan struct{})
	}
	f.mu.Unlock()
	thaw = sync.OnceFunc(s.thaw)
	if err := s.freezeAll(ctx); err != nil {
		thaw()
		return nil, err
	}
	return thaw, nil
}

// thaw ends one capture. The last one has the commands go on.
func (s *sandbox) thaw() {
	f := &s.freezer
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.users--; f.users > 0 {
		return
	}
	leaves, err := s.cgroup.commands()
	for _, leaf := range leaves {
		err = errors.Join(err, setFrozen(leaf, false))
	}
	if err != nil {
		s.rt.log.Warn("commands do not go on", "sandbox", s.id, "error", err)
	}
	close(f.thawed)
	f.thawed = nil
}

// freezeAll freezes the cgroups of commands.
func (s *sandbox) freezeAll(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, freezeTimeout, ErrNotFrozen)
	defer cancel()
	leaves, err := s.cgroup.commands()
	for _, leaf := range leaves {
		err = errors.Join(err, setFrozen(leaf, true))
	}
	for _, leaf := range leaves {
		if err == nil {
			err = awaitFrozen(ctx, leaf)
		}
	}
	if err != nil {
		return fmt.Errorf("freeze commands: %w", err)
	}
	return nil
}

// commands are the cgroups of commands. There are none when the sandbox has
// ended.
func (s *sandboxCgroup) commands() (dirs []string, err error) {
	entries, err := os.ReadDir(s.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	for _, entry := range entries {
		if entry.IsDir() && entry.Name() != agentLeaf {
			dirs = append(dirs, filepath.Join(s.dir, entry.Name()))
		}
	}
	return dirs, err
}

// setFrozen changes what a cgroup's processes do, unless it is gone.
func setFrozen(dir string, frozen bool) error {
	text := "0"
	if frozen {
		text = "1"
	}
	err := writeSetting(filepath.Join(dir, freezeFile), text)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENODEV) {
		return nil
	}
	return err
}

// awaitFrozen waits until no process of a cgroup runs.
func awaitFrozen(ctx context.Context, dir string) error {
	for pause := 50 * time.Microsecond; ; pause = min(2*pause, 10*time.Millisecond) {
		data, err := os.ReadFile(filepath.Join(dir, eventsFile))
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENODEV) {
			return nil
		}
		if err != nil || bytes.Contains(data, []byte("frozen 1\n")) {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(pause):
		}
	}
}
