package sandboxserver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"syscall"

	"github.com/langsandbox/sandbox-go/gen"
	"github.com/langsandbox/sandbox-go/internal/runtime"
)

// newSnapshot checks what both ways of making one have in common.
func (e *engine) newSnapshot(name, tag, description string, labels map[string]string, runs gen.RunConfig) (*snapshot, error) {
	s := &snapshot{
		meta: meta{name: name}, wanted: tag, status: gen.SnapshotBuilding, description: description,
		labels: maps.Clone(labels), runs: cloneRuns(runs),
	}
	if tag == "" {
		s.wanted = latestTag
	}
	if err := checkSnapshotName(name); err != nil {
		return nil, err
	}
	if err := checkLabels(labels); err != nil {
		return nil, err
	}
	return s, cmp.Or(checkRuns(runs), e.checkUser(runs.User))
}

// createSnapshot makes a snapshot of an image. That is an empty file system
// where images are not pulled.
func (e *engine) createSnapshot(req gen.CreateSnapshot) (view gen.Snapshot, err error) {
	s, err := e.newSnapshot(req.Name, req.Tag, req.Description, req.Labels, req.RunConfig)
	if err != nil {
		return view, err
	}
	s.image, s.disk, s.registryID = req.DockerImage, req.FSCapacityBytes, req.RegistryID
	return view, e.do(func() error {
		if s.registryID != "" && e.registries.byID[s.registryID] == nil {
			return invalid(fmt.Sprintf("registry %q not found: give its id", s.registryID), "registry_id")
		}
		if err := e.snapshotQuota(); err != nil {
			return err
		}
		s.root = e.root(s.image, s.registryID)
		e.enterSnapshot(s)
		e.build(s)
		view = s.view()
		return nil
	})
}

// enterSnapshot gives a new snapshot its place. mu is held.
func (e *engine) enterSnapshot(s *snapshot) {
	s.meta = e.newMeta(newID(), s.name)
	e.snapshots.byID[s.id] = s
	e.snapshots.mark(s)
	e.takeTag(s)
}

// built enters what became of a snapshot. Nobody waits for it, who could be
// told that it was not saved.
func (e *engine) built(s *snapshot, used int64, failure error) error {
	if failure == nil && e.records != nil {
		failure = e.recordWhole(s, used)
	}
	err := e.do(func() error {
		if s.status != gen.SnapshotBuilding {
			return nil // deleted meanwhile
		}
		s.used, s.status, s.whole = used, gen.SnapshotReady, false
		e.snapshots.changed(s)
		if failure == nil {
			e.takeTag(s)
		} else {
			s.status, s.message = gen.SnapshotFailed, captureProblem(failure)
			e.log.Warn("snapshot failed", "snapshot", s.id, "error", failure)
		}
		return nil
	})
	if err != nil && !errors.Is(err, errClosing) {
		e.log.Warn("snapshot is made, but not saved", "snapshot", s.id, "error", err)
	}
	return err
}

// recordWhole has a snapshot on the disk before anybody sees that it is ready:
// first its files, then its record.
func (e *engine) recordWhole(s *snapshot, used int64) error {
	if err := runtime.Sync(e.dir); err != nil {
		return err
	}
	e.mu.Lock()
	s.used, s.whole = used, s.status == gen.SnapshotBuilding
	e.snapshots.mark(s)
	e.mu.Unlock()
	e.saveQuietly()
	return nil
}

// captureProblem says why a snapshot failed, without paths of the host.
func captureProblem(err error) string {
	if p := imageProblem(err); p != nil {
		return p.message
	}
	switch {
	case errors.Is(err, errImageSize):
		return err.Error()
	case errors.Is(err, runtime.ErrTooLarge):
		return "the files of the sandbox do not fit: ask for a larger fs_capacity_bytes"
	case errors.Is(err, runtime.ErrClosed):
		return "the sandbox was deleted meanwhile"
	case errors.Is(err, runtime.ErrNotFrozen):
		return "a command of the sandbox does not stand still, since it waits for a device: stop the sandbox first"
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return "this machine has no room for the files"
	}
	return "the files of the sandbox could not be copied"
}

// captureBox makes a snapshot of the files of a sandbox, which goes on.
func (e *engine) captureBox(name string, req gen.CaptureSnapshot) (view gen.Snapshot, err error) {
	s, err := e.newSnapshot(req.Name, req.Tag, req.Description, req.Labels, req.RunConfig)
	if err != nil {
		return view, err
	}
	switch {
	case req.Checkpoint != "":
		return view, notSupported("checkpoints: leave checkpoint out to capture the files as they are")
	case req.DockerImage != "":
		return view, notSupported("images of a Docker inside its sandboxes: leave docker_image out to capture the files")
	case req.IncludeMemory:
		return view, notSupported("snapshots with memory: leave include_memory out")
	}
	return view, e.do(func() error {
		b, err := e.boxes.find(name)
		if err != nil {
			return err
		}
		if err := e.capturable(b); err != nil {
			return err
		}
		if s.carried, err = carry(b, req.Include, req.ConfirmAllowSnapshotSecretValues); err != nil {
			return err
		}
		if err := e.snapshotQuota(); err != nil {
			return err
		}
		e.describe(s, b, req)
		e.enterSnapshot(s)
		e.capture(s, b)
		view = s.view()
		return nil
	})
}

// capturable reports why a sandbox cannot be captured, if so. mu is held.
func (e *engine) capturable(b *box) error {
	if b.traits.transient {
		return problem(400, codeInvalidRequest, "sandbox %q is not persistent: its files cannot be captured", b.name)
	}
	if b.sb == nil || b.status != gen.StatusReady && b.status != gen.StatusStopped {
		return problem(400, codeInvalidRequest, "sandbox %q is %s: only a ready or stopped one can be captured", b.name, b.status)
	}
	return nil
}

// describe gives a snapshot what it has of the sandbox. mu is held.
func (e *engine) describe(s *snapshot, b *box, req gen.CaptureSnapshot) {
	s.sourceID, s.root = b.id, b.root
	s.held = e.heldImage(s.root)
	s.runs = layered(b.traits.runs, req.RunConfig)
	if s.carried.has(gen.SnapshotLabels) {
		inherited := maps.Clone(b.traits.labels)
		maps.DeleteFunc(inherited, func(name, _ string) bool { return strings.HasPrefix(name, reservedLabels) })
		s.labels = merged(inherited, s.labels)
	}
	source := e.snapshotOf(b)
	if source != nil {
		s.config = source.config
	}
	s.config = imageConfig(s.config, req.ImageConfig)
	switch {
	case req.FSCapacityBytes > 0:
		s.disk = req.FSCapacityBytes
	case b.sizes.disk > 0:
		s.disk = b.sizes.disk
	default:
		s.disk = defaultDisk
	}
}

// imageConfig puts one configuration over another: what is given replaces,
// also when it is empty.
func imageConfig(c, over gen.ImageConfig) gen.ImageConfig {
	if over.Cmd != nil {
		c.Cmd = over.Cmd
	}
	if over.Entrypoint != nil {
		c.Entrypoint = over.Entrypoint
	}
	if over.ExposedPorts != nil {
		c.ExposedPorts = over.ExposedPorts
	}
	return c
}

// merged puts labels over others.
func merged(labels, over map[string]string) map[string]string {
	if len(labels) == 0 {
		return over
	}
	maps.Copy(labels, over)
	return labels
}

// capture copies the files of a sandbox, after the transition that it is in and
// a few at a time. mu is held and the engine is open.
func (e *engine) capture(s *snapshot, b *box) {
	ctx, cancel := context.WithCancel(e.ctx)
	s.stop = cancel
	spec := runtime.CaptureSpec{Dir: e.snapshotDir(s.id), Limit: s.disk}
	s.last = e.begin(b.last, func() error {
		defer cancel()
		select {
		case e.copies <- struct{}{}:
		case <-ctx.Done():
			return e.built(s, 0, ctx.Err())
		}
		got, err := e.copyOf(ctx, b, spec)
		<-e.copies
		return e.built(s, got.Bytes, err)
	})
}

// copyOf captures the files of a sandbox, whoever has them: one that was
// stopped and started since the capture was asked for has the same files.
func (e *engine) copyOf(ctx context.Context, b *box, spec runtime.CaptureSpec) (runtime.Captured, error) {
	e.mu.Lock()
	sb := b.sb
	e.mu.Unlock()
	for {
		got, err := sb.Capture(ctx, spec)
		if !errors.Is(err, runtime.ErrClosed) {
			return got, err
		}
		next := e.successor(ctx, b, sb)
		if next == nil {
			return got, err
		}
		sb = next
	}
}

// successor is the sandbox that took the files of another one over, or nil.
func (e *engine) successor(ctx context.Context, b *box, sb runtime.Sandbox) runtime.Sandbox {
	e.mu.Lock()
	starting := b.last
	wait := b.status == gen.StatusProvisioning && b.sb == sb
	e.mu.Unlock()
	if wait && starting.wait(ctx) != nil {
		return nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if b.status == gen.StatusDeleting || b.sb == sb {
		return nil
	}
	return b.sb
}

// snapshotOf is what a sandbox was made of, or nil. mu is held.
func (e *engine) snapshotOf(b *box) *snapshot {
	if b.snapshotID == e.builtin.id {
		return e.builtin
	}
	return e.snapshots.byID[b.snapshotID]
}
