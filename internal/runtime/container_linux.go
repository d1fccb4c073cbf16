package runtime

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/langsandbox/sandbox-go/internal/sandboxagent"
)

// containers have another program, crun or runc, make the namespaces of the
// native runtime's agents, all but the user namespace. What follows is the
// same, so that a container is no less than what this package makes itself.
type containers struct {
	command string
	file    *os.File // of the command, which sandboxes need not have a way to
	flags   []string
}

// container is what there is of a sandbox's, besides its agent.
type container struct {
	command *os.Process
	agent   *os.File // a descriptor of the agent's process
}

// newContainers returns the runtime if a trial sandbox works.
func newContainers(cfg Config, command string, kind ociKind) (*native, error) {
	ids, err := detectIDs()
	if err != nil {
		return nil, err
	}
	file, err := os.OpenFile(command, unix.O_PATH, 0)
	if err != nil {
		return nil, err
	}
	n, err := openNativeBy(cfg, ids, true, &containers{command: command, file: file, flags: kind.flags})
	if err != nil {
		return nil, err
	}
	if !n.features.OwnProc {
		return nil, errors.Join(errProcBound, n.Close())
	}
	if least := n.step(); least.Strength() < cfg.Minimum.Strength() {
		return nil, errors.Join(&WeakError{Best: least, Minimum: cfg.Minimum, Err: whyNot(cfg.Minimum, least)}, n.Close())
	}
	n.spares.most = cfg.Spares // after the trial
	return n, nil
}

func (c *containers) close() {
	if c != nil {
		c.file.Close()
	}
}

// launch starts an agent in a container, and returns the pipe that it complains
// to until it is set up.
func (c *containers) launch(ctx context.Context, n *native, box *sandbox, spec Spec) (complaints *os.File, err error) {
	launch, err := c.describe(n, box.group, spec)
	if err != nil {
		return nil, err
	}
	program, err := os.Open(n.program.path)
	if err != nil {
		return nil, err
	}
	defer program.Close()
	control, theirs, err := newControl()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	complaints, stderr, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, control.file.Close())
	}
	defer stderr.Close()
	made := new(container)
	made.command, err = n.ids.start(n.program, []string{sandboxagent.Name, launch}, &os.ProcAttr{
		Dir:   "/",
		Env:   append([]string{sandboxagent.LauncherMarker}, ociEnv...),
		Files: []*os.File{n.null, n.null, stderr, theirs, program, c.file},
		Sys:   &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS, Setsid: true},
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start a container: %w", err), control.file.Close(), complaints.Close())
	}
	theirs.Close() // what is read next ends with those who have it
	stderr.Close()
	if err = made.meet(ctx, control); err == nil {
		box.agent, err = made.process()
	}
	if err == nil && box.cgroup != nil {
		err = writeSetting(filepath.Join(box.cgroup.dir, agentLeaf, procsFile), strconv.Itoa(box.agent.Pid))
	}
	if err != nil {
		closed := control.file.Close() // which ends an agent
		if ctx.Err() != nil {
			_ = made.command.Kill()
		}
		_ = made.wait()
		_ = complaints.SetReadDeadline(time.Now().Add(time.Second)) // others may have it
		if said := readComplaints(complaints); said != "" {
			err = fmt.Errorf("%w: %s", err, said)
		}
		return nil, errors.Join(fmt.Errorf("start a container: %w", err), closed, complaints.Close())
	}
	box.control, box.container = control, made
	return complaints, nil
}

// describe is what a launcher is told.
func (c *containers) describe(n *native, group string, spec Spec) (string, error) {
	config := ociSpec{
		Version: "1.0.2",
		Root:    ociRoot{Path: sandboxagent.ContainerRoot},
		Process: ociProcess{
			Args: []string{sandboxagent.Name}, Dir: "/",
			Env:          []string{"PATH=/", sandboxagent.ContainedMarker, agentThreads},
			Capabilities: map[string][]string{},
		},
		Mounts: []ociMount{
			{"/proc", "proc", "proc", []string{"nosuid", "noexec", "nodev"}},
			{"/dev", "bind", "/dev", []string{"rbind"}}, // else they make one
		},
	}
	// The agent gives them up once it has made the root.
	for _, set := range []string{"bounding", "effective", "permitted"} {
		config.Process.Capabilities[set] = allCapabilities
	}
	for _, kind := range []string{"pid", "ipc", "uts", "mount"} {
		config.Linux.Namespaces = append(config.Linux.Namespaces, ociNamespace{kind})
	}
	if !spec.HostNetwork {
		config.Linux.Namespaces = append(config.Linux.Namespaces, ociNamespace{"network"})
	}
	text, err := json.Marshal(config)
	if err != nil {
		return "", err
	}
	args := append([]string{c.command, "--root", sandboxagent.ContainerState}, c.flags...)
	args = append(args, "run", "--bundle", sandboxagent.ContainerBundle, "--no-new-keyring", "--preserve-fds", "2", n.layers.containerID(group))
	launch, err := json.Marshal(sandboxagent.Launch{Outside: n.outside, Config: text, Args: args})
	return string(launch), err
}

// allCapabilities are what the root of a user namespace has. A kernel may know
// more, which no agent needs.
var allCapabilities = strings.Fields(`CAP_CHOWN CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH CAP_FOWNER CAP_FSETID CAP_KILL
	CAP_SETGID CAP_SETUID CAP_SETPCAP CAP_LINUX_IMMUTABLE CAP_NET_BIND_SERVICE CAP_NET_BROADCAST CAP_NET_ADMIN
	CAP_NET_RAW CAP_IPC_LOCK CAP_IPC_OWNER CAP_SYS_MODULE CAP_SYS_RAWIO CAP_SYS_CHROOT CAP_SYS_PTRACE CAP_SYS_PACCT
	CAP_SYS_ADMIN CAP_SYS_BOOT CAP_SYS_NICE CAP_SYS_RESOURCE CAP_SYS_TIME CAP_SYS_TTY_CONFIG CAP_MKNOD CAP_LEASE
	CAP_AUDIT_WRITE CAP_AUDIT_CONTROL CAP_SETFCAP`)

// meet waits for the first message of an agent, by which the server knows it.
func (m *container) meet(ctx context.Context, control *control) error {
	stop := context.AfterFunc(ctx, func() { _ = control.file.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	buf, oob := make([]byte, sandboxagent.MaxReply), make([]byte, unix.CmsgSpace(4))
	var fds []int
	var got error
	err := control.raw.Read(func(fd uintptr) bool {
		_, fds, got = sandboxagent.Receive(int(fd), buf, oob, unix.MSG_DONTWAIT)
		return !errors.Is(got, unix.EAGAIN)
	})
	if err = errors.Join(ctx.Err(), err, got); err == nil && len(fds) != 1 {
		err = errProtocol
	}
	if err != nil {
		sandboxagent.CloseAll(fds)
		return err
	}
	m.agent = os.NewFile(uintptr(fds[0]), "agent")
	if !stop() {
		return ctx.Err() // whose deadline may have been set
	}
	return nil
}

// process is the agent by its number only: it is no child of this process, and
// killed and waited for by the descriptor.
func (m *container) process() (*os.Process, error) {
	pid, err := m.pid()
	if err != nil {
		return nil, err
	}
	return &os.Process{Pid: pid}, nil
}

// kill kills the agent, unless it is gone.
func (m *container) kill() {
	if raw, err := m.agent.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { _ = unix.PidfdSendSignal(int(fd), unix.SIGKILL, nil, 0) })
	}
}

func (m *container) pid() (int, error) {
	info, err := os.Open("/proc/self/fdinfo/" + strconv.Itoa(int(m.agent.Fd())))
	if err != nil {
		return 0, err
	}
	defer info.Close()
	for lines := bufio.NewScanner(info); lines.Scan(); {
		if text, ok := strings.CutPrefix(lines.Text(), "Pid:"); ok {
			pid, err := strconv.Atoi(strings.TrimSpace(text))
			if err == nil && pid > 1 {
				return pid, nil
			}
		}
	}
	return 0, fmt.Errorf("%w: not the descriptor of a process", errProtocol)
}

// wait waits until a container whose agent is killed, or lost its server, is
// gone. The command that made it ends with it, and is made to otherwise: what
// it keeps goes with it.
func (m *container) wait() error {
	timer := time.AfterFunc(ociEnd, func() { _ = m.command.Kill() })
	defer timer.Stop()
	_, err := m.command.Wait()
	if m.agent == nil {
		return err
	}
	defer m.agent.Close()
	return errors.Join(err, awaitExit(m.agent, ociEnd))
}

// awaitExit waits for the end of a process that is not this one's child.
func awaitExit(process *os.File, limit time.Duration) error {
	deadline := time.Now().Add(limit)
	for {
		left := time.Until(deadline)
		if left <= 0 {
			return fmt.Errorf("the agent does not end: %w", os.ErrDeadlineExceeded)
		}
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(process.Fd()), Events: unix.POLLIN}}, int(left.Milliseconds())+1)
		if err == nil && n == 1 {
			return nil
		}
		if err != nil && err != unix.EINTR {
			return err
		}
	}
}
