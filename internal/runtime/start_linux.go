package runtime

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"

	"github.com/langsandbox/sandbox-go/internal/sandboxagent"
)

// start starts the agent of a sandbox and has it build the root.
func (n *native) start(ctx context.Context, spec Spec) (*sandbox, error) {
	if err := n.checkImage(spec.Image); err != nil {
		return nil, err
	}
	if err := n.fill(ctx, spec); err != nil {
		return nil, err
	}
	// What was copied may have been any amount; the rest is not.
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := n.makeLayer(spec.ID); err != nil {
		return nil, err
	}
	ahead := n.spares.begin(spec)
	defer n.spares.finish()
	box, err := n.enter(ctx, spec, ahead)
	if _, refused := errors.AsType[*sandboxagent.Error](err); ahead != nil && err != nil && !refused && ctx.Err() == nil {
		n.log.DebugContext(ctx, "an agent that was started ahead is of no use", "sandbox", spec.ID, "error", err)
		box, err = n.enter(ctx, spec, nil) // that one may just have ended
	}
	return box, err
}

// enter has an agent build the root of a sandbox: one that was started ahead,
// or its own.
func (n *native) enter(ctx context.Context, spec Spec, ahead *spare) (*sandbox, error) {
	box, complaints, err := n.agent(ctx, spec, ahead)
	if err != nil {
		return nil, err
	}
	defer complaints.Close()
	err = n.limit(box, spec.Limits) // before it has children
	if err == nil {
		err = n.setUp(ctx, box, spec)
	}
	if err != nil {
		closed := box.end()
		if said := readComplaints(complaints); said != "" {
			err = fmt.Errorf("%w: %s", err, said)
		}
		if _, refused := errors.AsType[*sandboxagent.Error](err); refused && spec.Image != nil {
			err = fmt.Errorf("%w: %w", ErrBoot, err)
		}
		return nil, errors.Join(err, closed)
	}
	return box, nil
}

// agent returns a running agent, and the pipe that it complains to until it is
// set up.
func (n *native) agent(ctx context.Context, spec Spec, ahead *spare) (*sandbox, *os.File, error) {
	box, complaints := ahead.take()
	if box == nil {
		box = &sandbox{rt: n, group: spec.ID, hostNetwork: spec.HostNetwork, done: make(chan struct{})}
		var err error
		if complaints, err = n.launch(ctx, box, spec); err != nil {
			return nil, nil, errors.Join(err, box.removeCgroup())
		}
		go box.serve()
	}
	box.id, box.image = spec.ID, spec.Image
	return box, complaints, nil
}

// agentThreads gives an agent room for those of its threads that wait in the
// kernel, also on a machine with one processor.
const agentThreads = "GOMAXPROCS=4"

const namespaces = syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWIPC | syscall.CLONE_NEWUTS

// tryNamespaces starts an agent that refuses to go on. It comes before those
// with an id map, since Go leaves a pipe open when one of these cannot start.
func (n *native) tryNamespaces() error {
	process, err := os.StartProcess(n.program.path, []string{sandboxagent.Name}, &os.ProcAttr{
		Dir:   "/",
		Env:   []string{sandboxagent.Marker},
		Files: []*os.File{n.null, n.null, n.null},
		Sys:   &syscall.SysProcAttr{Cloneflags: namespaces | syscall.CLONE_NEWNET | syscall.CLONE_NEWUSER},
	})
	if err != nil {
		return fmt.Errorf("new namespaces: %w", err)
	}
	_, err = process.Wait()
	return err
}

// launch starts the agent in its namespaces, and returns the pipe that it
// complains to until it is set up.
func (n *native) launch(ctx context.Context, box *sandbox, spec Spec) (complaints *os.File, err error) {
	attr := &syscall.SysProcAttr{Cloneflags: namespaces, Setsid: true}
	if !spec.HostNetwork {
		attr.Cloneflags |= syscall.CLONE_NEWNET
	}
	if n.cgroups != nil {
		leaf, err := box.enterCgroup(n.cgroups)
		if err != nil {
			return nil, fmt.Errorf("cgroup: %w", err)
		}
		defer leaf.Close()
		attr.UseCgroupFD, attr.CgroupFD = true, int(leaf.Fd())
	}
	if n.containers != nil {
		return n.containers.launch(ctx, n, box, spec)
	}
	control, theirs, err := newControl()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	box.control = control
	complaints, stderr, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, control.file.Close())
	}
	defer stderr.Close()
	box.agent, err = n.ids.start(n.program, []string{sandboxagent.Name}, &os.ProcAttr{
		Dir:   "/",
		Env:   []string{sandboxagent.Marker, agentThreads},
		Files: []*os.File{n.null, n.null, stderr, theirs},
		Sys:   attr,
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start agent: %w", err), control.file.Close(), complaints.Close())
	}
	return complaints, nil
}

// setUp sends the agent what the sandbox is made of.
func (n *native) setUp(ctx context.Context, box *sandbox, spec Spec) error {
	trees, err := newTrees(n.ids, box.agent.Pid)
	if err != nil {
		return err
	}
	defer trees.close()
	setup := &sandboxagent.Setup{
		Hostname:    spec.Hostname,
		Home:        nativeHome,
		HostNetwork: spec.HostNetwork,
		Outside:     n.outside,
		Rlimits:     n.rlimits(spec.Limits),
	}
	if setup.Layer, err = trees.add(n.layers.path(spec.ID)); err != nil {
		return err
	}
	if err := n.roots(trees, setup, spec); err != nil {
		return err
	}
	for _, m := range spec.Mounts {
		if err := m.checkSource(); err != nil {
			return err
		}
		tree, err := trees.volume(m.Source)
		if err != nil {
			return err
		}
		setup.Mounts = append(setup.Mounts, sandboxagent.Mount{Tree: tree, Target: m.Target, ReadOnly: m.ReadOnly})
	}
	open := &call{undo: func(answer) {}}
	got, err := box.control.do(ctx, open, nil, &sandboxagent.Request{Setup: setup}, trees.fds)
	if err != nil {
		return err
	}
	if got.Ready == nil {
		return errProtocol
	}
	box.ready = *got.Ready
	return nil
}

// maxComplaints bounds what is told of a failed start.
const maxComplaints = 4 << 10

// readComplaints returns what an agent that has ended wrote last.
func readComplaints(pipe *os.File) string {
	buf := make([]byte, maxComplaints)
	n, _ := pipe.Read(buf)
	return strings.TrimSpace(string(buf[:n]))
}
