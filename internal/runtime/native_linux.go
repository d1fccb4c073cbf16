package runtime

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/langsandbox/sandbox-go/internal/sandboxagent"
)

// nativeHome is the home directory in a root of the sandbox's own.
const nativeHome = "/home/user"

// startTimeout bounds a start whose context does not.
const startTimeout = 30 * time.Second

// native is the runtime of IsolationNative.
type native struct {
	*registry
	log       *slog.Logger
	layers    *layers
	ids       idMap
	cgroups   *cgroups // nil where there are none
	noCgroups error    // why
	limiter   *limiter
	program   *program
	null      *os.File
	outside   map[string]uint64
	skeleton  []string
	template  string // a root to put others over, and what is to be over /usr; or empty
	features  Features
	spares    spares

	containers *containers // that have agents in them; nil if this process makes the namespaces
}

// newNative returns the runtime if a trial sandbox works.
func newNative(cfg Config) (Runtime, error) {
	ids, err := detectIDs()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	n, err := openNative(cfg, ids, true)
	if err != nil {
		return nil, err
	}
	n.spares.most = cfg.Spares // after the trial
	return n, nil
}

func openNative(cfg Config, ids idMap, withCgroups bool) (*native, error) {
	return openNativeBy(cfg, ids, withCgroups, nil)
}

// openNativeBy is openNative with agents in containers, which it closes.
func openNativeBy(cfg Config, ids idMap, withCgroups bool, in *containers) (*native, error) {
	layers, err := openLayers(cfg)
	if err != nil {
		in.close()
		return nil, err
	}
	n := &native{registry: newRegistry(layers.keeps), log: cfg.Logger, layers: layers, ids: ids, containers: in}
	n.spares.n = n
	err = n.detect(withCgroups)
	if err == nil {
		err = n.try()
	}
	if err != nil && n.cgroups != nil {
		n.log.Debug("no cgroups for sandboxes", "reason", err)
		n.cgroups, n.noCgroups, n.limiter = nil, err, new(limiter)
		err = n.try()
	}
	if err != nil {
		err = fmt.Errorf("%w: %w", ErrUnsupported, err)
		return nil, errors.Join(err, n.Close())
	}
	return n, nil
}

func (n *native) detect(withCgroups bool) (err error) {
	if n.program, err = openProgram(n.ids); err != nil {
		return err
	}
	if n.null, err = os.OpenFile(os.DevNull, os.O_RDWR, 0); err != nil {
		return err
	}
	if err := n.tryNamespaces(); err != nil {
		return err
	}
	n.outside = make(map[string]uint64)
	for _, name := range []string{"user", "pid", "mnt", "ipc", "uts", "net"} {
		if n.outside[name], err = sandboxagent.Namespace(name); err != nil {
			return err
		}
	}
	n.skeleton = usrSkeleton()
	n.limiter = new(limiter)
	if !withCgroups {
		return nil
	}
	n.cgroups, n.noCgroups = openCgroups(n.layers.dir, n.ids)
	if n.noCgroups != nil {
		n.log.Debug("no cgroups for sandboxes", "reason", n.noCgroups)
	}
	n.limiter = openLimiter(n.layers.dir, n.cgroups)
	return nil
}

// try runs a command in a sandbox, and learns what is in force.
func (n *native) try() error {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	made, err := n.Create(ctx, Spec{ID: "probe", Limits: Limits{CPUMillicores: 1000, MemoryBytes: 1 << 30, PIDs: 1000, FileBytes: 1 << 30}})
	if err != nil {
		return err
	}
	box := made.(*sandbox) //nolint:errcheck // what this Create returns
	err = runTrial(ctx, box, Command{Args: []string{"/bin/sh", "-c", ":"}})
	n.features = Features{
		IDs:           n.ids.size,
		WritableUsr:   box.ready.Overlay,
		KillCgroup:    n.cgroups != nil,
		OwnProc:       !box.ready.HostProc,
		NoNestedUsers: !box.ready.NestedUsers,
		SyscallFilter: box.ready.Filter,
	}
	n.describeLimits(&n.features, box.ready.PIDMax)
	n.log.Debug("native isolation", "features", n.features)
	if err == nil {
		err = n.keepTemplate(box)
	}
	return errors.Join(err, box.Close())
}

// keepTemplate makes the root of the trial sandbox the one that others are
// put over: it is cheaper to show than to make again.
func (n *native) keepTemplate(box *sandbox) error {
	if err := box.Stop(); err != nil || !box.ready.Overlay {
		return err
	}
	dir := n.layers.path(box.id)
	root := filepath.Join(dir, "root")
	for _, name := range sandboxagent.IdentityFiles {
		if err := os.Remove(filepath.Join(root, name)); err != nil {
			return err
		}
	}
	template := n.layers.template()
	if err := os.Mkdir(template, 0o711); err != nil { // a rootless agent looks for paths
		return err
	}
	n.template = template
	return errors.Join(os.Rename(root, n.templatePart(snapshotRoot)), os.Rename(filepath.Join(dir, "usr"), n.templatePart(snapshotUsr)))
}

func (n *native) templatePart(name string) string { return filepath.Join(n.template, name) }

// Isolation reports what is in force.
func (n *native) Isolation() Isolation { return IsolationNative }

func (n *native) step() Isolation {
	switch {
	case !n.features.OwnProc:
		return IsolationProcBound
	case n.containers != nil:
		return IsolationContainer
	case n.ids.foreign():
		return IsolationRoot
	case n.ids.subordinate():
		return IsolationSubordinate
	}
	return IsolationRootless
}

// Features reports the details.
func (n *native) Features() Features { return n.features }

// Create starts a sandbox.
func (n *native) Create(ctx context.Context, spec Spec) (Sandbox, error) {
	spec, err := spec.checked()
	if err != nil {
		return nil, err
	}
	if err := n.reserve(spec.ID); err != nil {
		return nil, err
	}
	box, err := n.start(ctx, spec)
	if err != nil {
		err = fmt.Errorf("create sandbox %s: %w", spec.ID, err)
		return nil, errors.Join(err, n.abort(spec.ID, n.layers.remove))
	}
	n.add(spec.ID, box)
	return box, nil
}

// makeLayer makes the directories that an agent builds a root from, unless a
// stopped sandbox has left them.
func (n *native) makeLayer(id string) error {
	dir := n.layers.path(id)
	for _, name := range append([]string{""}, sandboxagent.LayerDirs...) {
		name = filepath.Join(dir, name)
		err := os.Mkdir(name, 0o755)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return err
		}
		if err := n.ids.own(name); err != nil {
			return err
		}
	}
	return nil
}

// Reopen returns a sandbox that an earlier runtime has kept.
func (n *native) Reopen(spec Spec) (Sandbox, error) {
	return n.reopen(spec, spec.Image.home(), n.layers, func(ctx context.Context, s *leftSandbox, into CaptureSpec) (Captured, error) {
		return n.capture(ctx, s.id, s, into)
	})
}

// RemoveSnapshot removes what Capture made, or has it go with what needs it.
func (n *native) RemoveSnapshot(dir string) error { return n.layers.removeSnapshot(dir) }

// Close closes every sandbox that is left and removes the runtime's files, but
// those that are kept.
func (n *native) Close() error {
	first, err := n.close()
	if !first {
		return nil
	}
	n.spares.close()
	n.program.close()
	n.null.Close()
	n.containers.close()
	return errors.Join(err, n.layers.close())
}
