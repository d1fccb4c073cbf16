package runtime

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
)

// leaf is the cgroup of one command at a time. Making one takes longer than
// all else that starting a command needs, so that empty ones are used again.
type leaf struct {
	path string
	dir  *os.File

	mu     sync.Mutex
	ticket uint64 // whose it is
	killed bool   // no use any more: Linux 6.12 kills what is forked into it later
}

// kill kills everything in the cgroup, if it still is the ticket's.
func (l *leaf) kill(ticket uint64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ticket != ticket {
		return nil
	}
	l.killed = true
	err := os.WriteFile(filepath.Join(l.path, killFile), []byte("1"), 0)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENODEV) {
		return nil // with the sandbox
	}
	return err
}

// next hands the cgroup on, and reports whether it can be used again.
func (l *leaf) next() (ticket uint64, usable bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ticket++
	return l.ticket, !l.killed
}

// Bounds of leaves.
const (
	maxFree  = 8 // cgroups that wait for a command
	maxSweep = 4 // cgroups that are looked at when a command ends
)

// leaves are the cgroups of a sandbox's commands.
type leaves struct {
	group *sandboxCgroup

	mu     sync.Mutex
	made   int
	closed bool
	free   []*leaf
	busy   []*leaf // of ended commands that left something running
}

// take returns an empty cgroup and the ticket for it.
func (s *leaves) take() (*leaf, uint64, error) {
	s.mu.Lock()
	if n := len(s.free); n > 0 {
		l := s.free[n-1]
		s.free = s.free[:n-1]
		s.mu.Unlock()
		ticket, _ := l.next()
		return l, ticket, nil
	}
	s.made++
	name := "c" + strconv.Itoa(s.made)
	s.mu.Unlock()
	dir, err := s.group.leaf(name)
	if err != nil {
		return nil, 0, err
	}
	l := &leaf{path: filepath.Join(s.group.dir, name), dir: dir}
	ticket, _ := l.next()
	return l, ticket, nil
}

// release takes a cgroup back when its command has ended. One that still has
// processes stays the command's, to be killed, until it is found empty.
func (s *leaves) release(l *leaf) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		l.dir.Close()
		return
	}
	s.busy = append([]*leaf{l}, s.busy...)
	sweep := min(maxSweep, len(s.busy))
	rest := s.busy[sweep:]
	for _, l := range s.busy[:sweep] {
		// None can come, since only those in it could fork them.
		if unpopulated(l.dir) {
			s.reuse(l)
		} else {
			rest = append(rest, l)
		}
	}
	s.busy = rest
}

func (s *leaves) reuse(l *leaf) {
	if _, usable := l.next(); usable && len(s.free) < maxFree {
		s.free = append(s.free, l)
		return
	}
	l.dir.Close()
	_ = unix.Rmdir(l.path) // else with the sandbox
}

// close closes what is open. The cgroups go with the sandbox's.
func (s *leaves) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for _, l := range append(s.free, s.busy...) {
		l.dir.Close()
	}
	s.free, s.busy = nil, nil
}
