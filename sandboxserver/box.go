package sandboxserver

import (
	"context"
	"errors"
	"maps"
	"syscall"
	"time"

	"github.com/langsandbox/sandbox-go/gen"
	"github.com/langsandbox/sandbox-go/internal/image"
	"github.com/langsandbox/sandbox-go/internal/runtime"
	"github.com/langsandbox/sandbox-go/internal/session"
)

// box is one sandbox of the API. Its transitions (start, stop, delete) run one
// after the other, in the order in which they were asked for; the status says
// at once where they lead.
type box struct {
	meta
	templateID string // empty without one
	snapshotID string // likewise
	status     gen.Status
	message    string
	ttl, idle  int // seconds, 0 is off
	afterStop  int // likewise, from a stop to deletion
	stopped    time.Time
	cutOff     bool // it was stopped by the end of its server
	sizes      sizes
	amounts    amounts
	proxy      gen.ProxyConfig
	traits     traits
	shares     map[int]*share // ports that are shared
	volumes    []attachment
	root       rootImage
	files      runtime.Isolation // what its files are for, empty before there are any
	whole      runtime.Isolation // likewise, of one that is ready but for being announced
	held       *image.Handle     // nil over the host's /usr, and before the first start

	active time.Time // when a command or a file access last ended
	busy   int       // how many are going on
	timer  *time.Timer

	last *transition
	sb   runtime.Sandbox // the latest; running while ready
	boot context.CancelFunc
	run  context.Context //nolint:containedctx // the sandbox's: ends when a ready one stops being so
	halt context.CancelFunc

	commands *session.Store // of that time
}

// up reports whether a sandbox takes CPU and memory.
func (b *box) up() bool {
	return b.status == gen.StatusReady || b.status == gen.StatusProvisioning
}

func (b *box) disarm() {
	if b.timer != nil {
		b.timer.Stop()
		b.timer = nil
	}
}

// boxView shows a sandbox with the present name of its template. mu is held.
func (e *engine) boxView(b *box) gen.Sandbox {
	v := gen.Sandbox{
		ID: b.id, Name: b.name, SnapshotID: b.snapshotID, Status: b.status, StatusMessage: b.message,
		TTLSeconds: b.ttl, IdleTTLSeconds: b.idle, ExpiresAt: b.expires(),
		DeleteAfterStopSeconds: b.afterStop, StoppedAt: b.stopped,
		VCPUs: b.sizes.vcpus, CPUMillicores: b.sizes.millicores, MemBytes: b.sizes.memory, FSCapacityBytes: b.sizes.disk,
		Labels: maps.Clone(b.traits.labels), Persistent: new(!b.traits.transient), RunConfig: b.traits.runs,
		ProxyConfig: redact(b.proxy), Volumes: e.attachedViews(b), CreatedAt: b.created, UpdatedAt: b.updated,
		CreatedBy: localUser, UpdatedBy: localUser,
	}
	v.TemplateName = e.templateName(b)
	return v
}

func (e *engine) templateName(b *box) string {
	if t := e.templates.byID[b.templateID]; t != nil {
		return t.name
	}
	return ""
}

// start begins a start. mu is held.
func (e *engine) start(b *box, timeout time.Duration) *transition {
	b.status, b.message, b.stopped, b.cutOff = gen.StatusProvisioning, "", time.Time{}, false
	spec := runtime.Spec{
		ID: b.id, HostNetwork: e.cfg.HostNetwork, Base: e.base(e.snapshotOf(b)),
		Mounts: e.runtimeMounts(e.templates.byID[b.templateID], b.volumes),
		Limits: e.limits(b),
	}
	l := launch{spec: spec, image: e.asking(b.root), user: b.traits.runs.User, proxy: cloneProxy(b.proxy)}
	ctx, cancel := context.WithCancel(e.ctx)
	b.boot = cancel
	copies := spec.Base != "" && b.files == "" && !e.features.WritableUsr
	b.last = e.begin(b.last, func() error {
		defer cancel()
		defer e.saveQuietly()
		ctx, stop := context.WithTimeout(ctx, timeout)
		defer stop()
		sb, held, err := e.createAmong(ctx, l, copies)
		e.keepImage(b, held)
		return e.started(b, sb, err) //nolint:contextcheck // the sandbox outlives its start
	})
	return b.last
}

// createAmong is create, with its copying among the few copies that go on.
func (e *engine) createAmong(ctx context.Context, l launch, copies bool) (runtime.Sandbox, *image.Handle, error) {
	if copies {
		select {
		case e.copies <- struct{}{}:
			defer func() { <-e.copies }()
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		}
	}
	return e.create(ctx, l)
}

// keepImage makes an image a sandbox's, as long as it is there.
func (e *engine) keepImage(b *box, held *image.Handle) {
	e.mu.Lock()
	if held != nil {
		b.held, held = held, b.held
		b.root.Digest = b.held.Image.Digest
	}
	e.mu.Unlock()
	release(held)
}

// recordFiles has it on the disk that a sandbox has files, before anybody sees
// that it is ready and writes to them.
func (e *engine) recordFiles(b *box) {
	e.mu.Lock()
	b.whole = e.rt.Isolation()
	e.boxes.mark(b)
	e.mu.Unlock()
	e.saveQuietly()
}

// started enters the outcome of a start.
func (e *engine) started(b *box, sb runtime.Sandbox, err error) error {
	if err == nil {
		e.recordFiles(b)
	}
	e.mu.Lock()
	if err == nil {
		if err = e.settle(b, sb); err != nil {
			e.mu.Unlock()
			e.giveUp(b, sb)
			e.mu.Lock()
		}
	}
	wanted := !e.closed && b.status == gen.StatusProvisioning
	switch {
	case err == nil && wanted:
		e.ready(b, sb)
	case err == nil && !e.closed:
		b.sb = sb // the delete that comes next ends it
	case err != nil && wanted:
		b.status, b.message = gen.StatusFailed, startProblem(err).message
		e.log.Warn("sandbox did not start", "sandbox", b.id, "error", err)
	}
	if b.whole != "" || err != nil { // else it has what the record says
		b.whole = ""
		e.boxes.mark(b)
	}
	closed := e.closed
	e.mu.Unlock()
	if err == nil && closed {
		e.giveUp(b, sb)
	}
	switch {
	case closed:
		return errClosing
	case !wanted:
		return errDeletedMeanwhile
	}
	return err
}

// giveUp ends a sandbox that started and is of no use. Files that it had before
// stay, for the next start.
func (e *engine) giveUp(b *box, sb runtime.Sandbox) {
	e.mu.Lock()
	had := b.files != "" && !e.removed(b)
	if had {
		b.sb = sb // whose files they are now
	}
	e.mu.Unlock()
	if !had {
		e.closeSandbox(b.id, sb)
	} else if err := sb.Stop(); err != nil {
		e.log.Warn("sandbox did not stop", "sandbox", b.id, "error", err)
	}
}

// removed reports whether nobody closes what a sandbox has from now on. mu is
// held.
func (e *engine) removed(b *box) bool { return e.boxes.byID[b.id] != b }

var errDeletedMeanwhile = &apiError{status: 409, code: codeConflict, message: "the sandbox was deleted while it started"}

// adopt puts a sandbox from a pool into service, once it follows the
// configuration it is to have. mu is held and the engine is open.
func (e *engine) adopt(b *box, sb runtime.Sandbox) *transition {
	if !outdated(sb, b.proxy) {
		e.ready(b, sb)
		return arrived
	}
	b.status = gen.StatusProvisioning
	b.last = e.begin(b.last, func() error { return e.started(b, sb, nil) })
	return b.last
}

// ready puts a started sandbox into service. mu is held and the engine is open.
func (e *engine) ready(b *box, sb runtime.Sandbox) {
	b.sb, b.status, b.message, b.files, b.whole = sb, gen.StatusReady, "", e.rt.Isolation(), ""
	b.active = time.Now()
	b.run, b.halt = context.WithCancel(e.ctx)
	b.commands = e.newCommands(b)
	e.arm(b)
	run := b.run
	e.tasks.Go(func() { e.watch(run, b, sb) })
}

// watch notices a sandbox that ends by itself.
func (e *engine) watch(run context.Context, b *box, sb runtime.Sandbox) {
	select {
	case <-run.Done():
		return
	case <-sb.Done():
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed || run.Err() != nil {
		return
	}
	e.log.WarnContext(run, "sandbox ended by itself", "sandbox", b.id)
	e.stop(b)
}

// stop begins to stop a ready sandbox. The files of one that is not persistent
// go with its processes. mu is held and the engine is open.
func (e *engine) stop(b *box) *transition {
	b.status, b.stopped = gen.StatusStopped, time.Now().UTC()
	b.halt()
	e.arm(b)
	e.fillAll()
	end := b.sb.Stop
	if b.traits.transient {
		end, b.files = b.sb.Close, ""
	}
	e.boxes.mark(b)
	b.last = e.begin(b.last, func() error {
		defer e.saveQuietly()
		return end()
	})
	return b.last
}

// remove begins to delete a sandbox, or joins a delete on its way. mu is held
// and the engine is open.
func (e *engine) remove(b *box) *transition {
	if b.status == gen.StatusDeleting {
		return b.last
	}
	b.status, b.message = gen.StatusDeleting, ""
	e.boxes.mark(b)
	b.disarm()
	if b.boot != nil {
		b.boot()
	}
	if b.halt != nil {
		b.halt()
	}
	b.last = e.begin(b.last, func() error {
		e.saveQuietly() // a record without files is worse than files without a record
		e.mu.Lock()
		sb, held := b.sb, b.held
		b.held = nil
		e.mu.Unlock()
		if sb != nil {
			e.closeSandbox(b.id, sb)
		}
		release(held)
		e.mu.Lock()
		defer e.mu.Unlock()
		e.boxes.drop(b)
		b.unshareAll()
		e.fillAll()
		return nil
	})
	return b.last
}

// startProblem maps a failed start to the answers the API has for it.
func startProblem(err error) *apiError {
	for _, short := range []error{
		syscall.EAGAIN, syscall.ENOMEM, syscall.ENOSPC, syscall.EMFILE, syscall.ENFILE, syscall.EDQUOT,
	} {
		if errors.Is(err, short) {
			return &apiError{
				status: 503, code: codeUnschedulable, cause: err,
				message: "this machine has no room for another sandbox: " + short.Error(),
			}
		}
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return &apiError{status: 408, code: codeTimeout, message: "the sandbox was not ready in time", cause: err}
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, runtime.ErrClosed) {
		return &apiError{status: 503, code: codeUnavailable, message: "the start was broken off", cause: err}
	}
	if p := imageProblem(err); p != nil {
		return p
	}
	if errors.Is(err, runtime.ErrBoot) {
		return &apiError{status: 422, code: codeCrashLoop, message: "the sandbox could not be started: " + err.Error(), cause: err}
	}
	return &apiError{status: 422, code: codeSandboxConfig, message: "the sandbox could not be started: " + err.Error(), cause: err}
}
