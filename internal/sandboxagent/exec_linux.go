package sandboxagent

import (
	"errors"
	"os"
	"path"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/langsandbox/sandbox-go/internal/sandboxagent/proctree"
)

func (a *agent) exec(req *Request, fds []int) *Reply {
	dir := req.Exec.Dir
	if !path.IsAbs(dir) {
		dir = path.Join(a.home, dir)
	}
	attr, err := a.attributes(req.Exec, fds)
	if err != nil {
		return &Reply{ID: req.ID, Error: asError("exec", err)}
	}
	done, err := a.begin(attr, dir)
	if err != nil {
		return &Reply{ID: req.ID, Error: fail("chdir", dir, err)}
	}
	defer done()
	if len(req.Exec.Args) == 0 {
		return &Reply{ID: req.ID, Error: &Error{Op: "exec", Errno: unix.EINVAL}}
	}
	name := req.Exec.Args[0]
	file, err := proctree.LookPath(name, dir, attr.Env)
	if err != nil {
		return &Reply{ID: req.ID, Error: fail("exec", name, err)}
	}
	pid, err := a.fork(req.ID, file, req.Exec.Args, attr)
	if err != nil {
		return &Reply{ID: req.ID, Error: fail("exec", name, err)}
	}
	return &Reply{ID: req.ID, PID: pid}
}

// begin has a command begin in a directory, which is held until done is called.
//
// A process has the agent's descriptors until it executes a program, also that
// of its cgroup, from which ".." leads to the host's root. A link to one of them
// is not followed to the directory, and they are closed before the program is
// looked for.
func (a *agent) begin(attr *syscall.ProcAttr, dir string) (done func(), err error) {
	if a.guest { // its kernel has nothing of the host's
		attr.Dir = dir
		return func() {}, errnoOf(proctree.CheckDir(dir))
	}
	fd, err := openat(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	attr.Dir = "/proc/self/fd/" + strconv.Itoa(fd)
	for held := max(fd, attr.Sys.CgroupFD); len(attr.Files) <= held; {
		attr.Files = append(attr.Files, ^uintptr(0))
	}
	return func() { unix.Close(fd) }, nil
}

// errnoOf is what the system says of a path.
func errnoOf(err error) error {
	if p, ok := errors.AsType[*os.PathError](err); ok {
		return p.Err
	}
	return err
}

func (a *agent) attributes(cmd *Exec, fds []int) (*syscall.ProcAttr, error) {
	attr := &syscall.ProcAttr{Env: cmd.Env, Sys: &syscall.SysProcAttr{Setsid: true, Setctty: cmd.TTY != nil}}
	if u := cmd.User; u != nil {
		attr.Sys.Credential = &syscall.Credential{Uid: u.UID, Gid: u.GID, Groups: u.Groups}
	}
	for _, bit := range []uint8{HasStdin, HasStdout, HasStderr, HasCgroup} {
		fd := a.null
		if cmd.FDs&bit != 0 {
			if len(fds) == 0 {
				return nil, unix.EBADF
			}
			fd, fds = fds[0], fds[1:]
		}
		if bit != HasCgroup {
			attr.Files = append(attr.Files, uintptr(fd))
			continue
		}
		attr.Sys.UseCgroupFD = fd != a.null
		attr.Sys.CgroupFD = fd
	}
	return attr, nil
}

func (a *agent) fork(id uint64, file string, args []string, attr *syscall.ProcAttr) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.oom.raise()
	pid, err := syscall.ForkExec(file, args, attr)
	a.oom.restore()
	if err != nil {
		return 0, err
	}
	a.byPID[pid], a.byID[id] = id, pid
	select {
	case a.forked <- struct{}{}:
	default:
	}
	return pid, nil
}

// reap waits for every child: commands, and orphans that the kernel hands to
// the first process.
func (a *agent) reap() {
	for {
		pid, err := waitable()
		switch {
		case err == nil:
			a.reapOne(pid)
		case errors.Is(err, unix.EINTR):
		default:
			<-a.forked
		}
	}
}

func (a *agent) reapOne(pid int) {
	a.mu.Lock()
	var status syscall.WaitStatus
	// A child whose exec failed is reaped by the fork itself.
	got, err := syscall.Wait4(pid, &status, syscall.WNOHANG|syscall.WALL, nil)
	id, command := a.byPID[pid]
	if err != nil || got != pid {
		a.mu.Unlock()
		return
	}
	delete(a.byPID, pid)
	delete(a.byID, id)
	a.mu.Unlock()
	if command {
		code, signal := proctree.ExitCode(status)
		a.send(&Reply{ID: id, Exit: &Exit{Code: code, Signal: signal}})
	}
}

// oomScore makes the kernel prefer commands to the agent when memory runs
// out. A child inherits the score at the fork, and only raising it needs no
// privilege, so the agent's own is raised for that moment.
type oomScore struct {
	file         *os.File
	own, command string
}

// oomRaise is what commands have more than the agent.
const oomRaise = 500

func openOOMScore() (oomScore, error) {
	file, err := os.OpenFile("/proc/self/oom_score_adj", os.O_RDWR, 0)
	if err != nil {
		return oomScore{}, err
	}
	buf := make([]byte, 16)
	n, err := file.ReadAt(buf, 0)
	if n == 0 {
		return oomScore{}, err
	}
	own, err := strconv.Atoi(strings.TrimSpace(string(buf[:n])))
	if err != nil {
		return oomScore{}, err
	}
	return oomScore{
		file:    file,
		own:     strconv.Itoa(own),
		command: strconv.Itoa(min(own+oomRaise, 1000)),
	}, nil
}

func (s oomScore) raise()   { _, _ = s.file.WriteAt([]byte(s.command), 0) }
func (s oomScore) restore() { _, _ = s.file.WriteAt([]byte(s.own), 0) }
