package proctree

import (
	"bytes"
	"errors"
	"os"
	"slices"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// killTimeout bounds how long Kill goes on looking for what is left.
const killTimeout = 5 * time.Second

// Tree names commands and everything that came from it. Descendants are
// found by their parents, by their process group and session, and by a cookie
// in the environment that they inherit.
type Tree struct {
	// Leaders are processes it begins with, while their numbers are theirs.
	Leaders []int
	// Sessions are its sessions and process groups, as above.
	Sessions []int
	// Under is a process that is not in the tree itself, and whose
	// descendants are; 0 is none.
	Under int
	// Cookie is text of the environment that no other tree has.
	Cookie string
	// Signal, if set, signals the whole group at once, as long as it is
	// certain to be the command's.
	Signal func(syscall.Signal)
}

// Kill kills the processes of the tree. It stops them first, since one that
// runs can fork and leave before it is looked at, and its death hides whose
// child that was.
func (t Tree) Kill() error {
	if t.Signal != nil {
		t.Signal(unix.SIGSTOP)
	}
	h := hunt{tree: t, known: make(map[int]process), deadline: time.Now().Add(killTimeout)}
	// A fork that was under way may show up one look later.
	for quiet := 0; quiet < 2; quiet++ {
		found, err := h.look()
		if err != nil {
			return err
		}
		if found {
			quiet = -1
		}
	}
	if t.Signal != nil {
		t.Signal(unix.SIGKILL)
	}
	for _, p := range h.known {
		p.signal(unix.SIGKILL)
	}
	return h.await()
}

// List returns the processes of the tree that live.
func (t Tree) List() ([]int, error) {
	h := hunt{tree: t}
	members, err := h.members()
	pids := make([]int, 0, len(members))
	for _, p := range members {
		pids = append(pids, p.pid)
	}
	return pids, err
}

// hunt is the search for the processes of a tree.
type hunt struct {
	tree     Tree
	known    map[int]process
	deadline time.Time
}

var errLeft = errors.New("kill: processes are left")

// look stops what is new, and reports whether anything was.
func (h *hunt) look() (bool, error) {
	members, err := h.members()
	if err != nil {
		return false, err
	}
	found := false
	for _, p := range members {
		if old, ok := h.known[p.id]; ok && old.start == p.start {
			continue
		}
		h.known[p.id], found = p, true
		p.signal(unix.SIGSTOP)
	}
	if found && time.Now().After(h.deadline) {
		return false, errLeft
	}
	return found, nil
}

// await kills until nothing is found any more.
func (h *hunt) await() error {
	for pause := 100 * time.Microsecond; ; pause = min(2*pause, 10*time.Millisecond) {
		members, err := h.members()
		if err != nil || len(members) == 0 {
			return err
		}
		if time.Now().After(h.deadline) {
			return errLeft
		}
		for _, p := range members {
			p.signal(unix.SIGKILL)
		}
		time.Sleep(pause)
	}
}

// members lists the living processes of the tree.
func (h *hunt) members() ([]process, error) {
	table, err := scan()
	if err != nil {
		return nil, err
	}
	in := map[int]bool{h.tree.Under: h.tree.Under > 1}
	for _, p := range table {
		old, known := h.known[p.id]
		if known && old.start == p.start || h.tree.owns(p) {
			in[p.id] = true
		}
	}
	for grew := true; grew; {
		grew = false
		for _, p := range table {
			if in[p.parent] && !in[p.id] {
				in[p.id], grew = true, true
			}
		}
	}
	var found []process
	for _, p := range table {
		if in[p.id] && p.id != h.tree.Under {
			found = append(found, p)
		}
	}
	return found, nil
}

func (t Tree) owns(p process) bool {
	if slices.Contains(t.Leaders, p.pid) ||
		slices.Contains(t.Sessions, p.session) || slices.Contains(t.Sessions, p.group) {
		return true
	}
	return t.Cookie != "" && p.hasEnv(t.Cookie)
}

// process is a row of /proc. Its numbers are those of this pid namespace,
// except id and parent, which are those of the /proc that was read.
type process struct {
	id, parent          int
	pid, group, session int
	start               string
}

func (p process) hasEnv(text string) bool {
	env, err := os.ReadFile("/proc/" + strconv.Itoa(p.id) + "/environ")
	return err == nil && bytes.Contains(env, []byte(text))
}

// signal signals the process that was seen in the table, and no other that
// got its number since.
func (p process) signal(sig syscall.Signal) {
	if p.pid <= 1 || p.pid == os.Getpid() {
		return
	}
	fd, err := unix.PidfdOpen(p.pid, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	again, ok := readProcess(p.id)
	if !ok || again.start != p.start {
		return
	}
	_ = unix.PidfdSendSignal(fd, sig, nil, 0)
}

// scan lists the processes of this pid namespace that are not dead yet.
func scan() ([]process, error) {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	own := ownView()
	table := make([]process, 0, len(names))
	for _, name := range names {
		id, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		p, ok := readProcess(id)
		if ok && own.translate(&p) && p.pid > 1 {
			table = append(table, p)
		}
	}
	return table, nil
}

// Fields of /proc/PID/stat after the command's name, which may hold anything.
const (
	statState = iota
	statParent
	statGroup
	statSession
	statStart = 19
)

func readProcess(id int) (process, bool) {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(id) + "/stat")
	if err != nil {
		return process{}, false
	}
	fields := bytes.Fields(data[bytes.LastIndexByte(data, ')')+1:])
	if len(fields) <= statStart {
		return process{}, false
	}
	if state := fields[statState][0]; state == 'Z' || state == 'X' {
		return process{}, false
	}
	return process{
		id:      id,
		pid:     id,
		parent:  number(fields[statParent]),
		group:   number(fields[statGroup]),
		session: number(fields[statSession]),
		start:   string(fields[statStart]),
	}, true
}

func number(field []byte) int {
	n, _ := strconv.Atoi(string(field))
	return n
}
