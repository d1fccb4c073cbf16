package sandboxserver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/langsandbox/sandbox-go/gen"
	"github.com/langsandbox/sandbox-go/internal/runtime"
)

type savedBox struct {
	savedMeta
	TemplateID string          `json:"template_id,omitzero"`
	SnapshotID string          `json:"snapshot_id,omitzero"`
	Status     gen.Status      `json:"status"`
	Message    string          `json:"status_message,omitzero"`
	TTL        int             `json:"ttl_seconds,omitzero"`
	Idle       int             `json:"idle_ttl_seconds,omitzero"`
	AfterStop  int             `json:"delete_after_stop_seconds,omitzero"`
	Stopped    time.Time       `json:"stopped_at,omitzero"`
	Active     time.Time       `json:"active_at,omitzero"`
	CutOff     bool            `json:"cut_off,omitzero"`
	VCPUs      int             `json:"vcpus,omitzero"`
	Millicores int             `json:"cpu_millicores,omitzero"`
	Memory     int64           `json:"mem_bytes,omitzero"`
	Disk       int64           `json:"fs_capacity_bytes,omitzero"`
	CountedCPU int64           `json:"counted_millicores"`
	CountedMem int64           `json:"counted_bytes"`
	Proxy      gen.ProxyConfig `json:"proxy_config,omitzero"`

	Labels    map[string]string `json:"labels,omitzero"`
	Tags      []string          `json:"tag_value_ids,omitzero"`
	Env       map[string]string `json:"env_vars,omitzero"`
	Runs      gen.RunConfig     `json:"run_config,omitzero"`
	Transient bool              `json:"transient,omitzero"`

	Shares  []savedShare      `json:"shares,omitzero"`
	Volumes []savedAttachment `json:"volumes,omitzero"`
	Root    rootImage         `json:"root_image,omitzero"`
	// Files is the isolation that its files are for, empty before there are any.
	Files runtime.Isolation `json:"files,omitzero"`
}

type savedShare struct {
	savedMeta
	Port    int                    `json:"port"`
	Access  gen.ServiceGrantAccess `json:"access"`
	Origins []string               `json:"embed_origins,omitzero"`
	Expires time.Time              `json:"expires_at,omitzero"`
}

type savedAttachment struct {
	mount
	ReadOnly bool `json:"read_only,omitzero"`
}

func (b *box) saved() savedBox {
	s := savedBox{
		savedMeta: b.meta.saved(), TemplateID: b.templateID, SnapshotID: b.snapshotID, Status: b.status, Message: b.message,
		TTL: b.ttl, Idle: b.idle, AfterStop: b.afterStop, Stopped: b.stopped, Active: b.active, CutOff: b.cutOff,
		VCPUs: b.sizes.vcpus, Millicores: b.sizes.millicores, Memory: b.sizes.memory, Disk: b.sizes.disk,
		CountedCPU: b.amounts.cpu, CountedMem: b.amounts.memory, Proxy: b.proxy,
		Labels: b.traits.labels, Tags: b.traits.tags, Env: b.traits.env, Runs: b.traits.runs, Transient: b.traits.transient,
		Root: b.root, Files: cmp.Or(b.files, b.whole),
	}
	for _, sh := range b.shares {
		s.Shares = append(s.Shares, savedShare{sh.saved(), sh.port, sh.access, sh.origins, sh.expires})
	}
	for _, a := range b.volumes {
		s.Volumes = append(s.Volumes, savedAttachment{a.mount, a.readOnly})
	}
	return s
}

// enterSavedBox puts a saved sandbox back, as a stopped one. One whose time is over
// is gone, and its files go with the other leftovers. mu is held.
func (e *engine) enterSavedBox(s savedBox) error {
	now := time.Now().UTC()
	b := &box{
		meta: e.restored(s.savedMeta), templateID: s.TemplateID, snapshotID: s.SnapshotID, status: s.Status, message: s.Message,
		ttl: s.TTL, idle: s.Idle, afterStop: s.AfterStop, stopped: s.Stopped, active: s.Active, cutOff: s.CutOff,
		sizes:   sizes{vcpus: s.VCPUs, millicores: s.Millicores, memory: s.Memory, disk: s.Disk},
		amounts: amounts{cpu: s.CountedCPU, memory: s.CountedMem}, proxy: s.Proxy,
		traits: traits{labels: s.Labels, tags: s.Tags, env: s.Env, runs: s.Runs, transient: s.Transient},
		root:   s.Root, files: s.Files,
	}
	for _, a := range s.Volumes {
		if e.volumes.byID[a.VolumeID] == nil {
			return fmt.Errorf("%q has a volume that is gone", b.name)
		}
		b.volumes = append(b.volumes, attachment{a.mount, a.ReadOnly})
	}
	for _, saved := range s.Shares {
		b.share(e.savedShare(saved))
	}
	b.interrupted(now)
	e.boxes.add(b)
	if what, at := b.due(now); what == endDelete && !at.After(now) {
		e.log.Info("sandbox reached the end of its lifetime", "sandbox", b.id)
		b.status = gen.StatusDeleting // resume forgets it
	}
	return nil
}

func (e *engine) savedShare(s savedShare) *share {
	sh := &share{meta: e.restored(s.savedMeta), port: s.Port, access: s.Access, origins: s.Origins, expires: s.Expires}
	if sh.login() {
		sh.open, sh.end = context.WithCancel(context.Background())
	}
	return sh
}

// interrupted is what the end of a server makes of a sandbox. A server that
// was killed did not note when: then its timers count from now.
func (b *box) interrupted(now time.Time) {
	switch {
	case b.up() && b.files != "":
		b.status, b.message, b.stopped, b.active, b.cutOff = gen.StatusStopped, "", now, now, true
	case b.up():
		b.status, b.message, b.whole = gen.StatusFailed, "the server ended while the sandbox started", ""
	}
	if b.traits.transient {
		b.files = "" // they end with a stop
	}
}

// keeps reports whether the files of a sandbox outlive the server.
func (e *engine) keeps(id string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	b := e.boxes.byID[id]
	return b != nil && b.files != "" && b.status != gen.StatusDeleting && !b.traits.transient
}

// resume takes up what restore has read, once there is a runtime: sandboxes
// find their files, leftovers go, timers run and pools fill.
func (e *engine) resume() error {
	e.mu.Lock()
	e.sweep()
	for _, s := range e.snapshots.all() {
		e.snapshots.mark(s) // it may have failed now
		if s.whole {
			if s.whole = false; s.status == gen.SnapshotReady {
				e.takeTag(s)
			}
		}
		if s.status == gen.SnapshotReady {
			s.held = e.heldImage(s.root)
		}
	}
	for _, b := range e.boxes.all() {
		e.boxes.mark(b) // it may be stopped now
		if b.status == gen.StatusDeleting {
			b.unshareAll()
			e.boxes.remove(b)
			continue
		}
		e.reopen(b)
		b.held = e.heldImage(b.root)
		e.arm(b)
	}
	e.fillAll()
	e.mu.Unlock()
	return e.save()
}

// reopen finds the files of a sandbox. mu is held; nothing else goes on yet.
func (e *engine) reopen(b *box) {
	if b.files == "" {
		return
	}
	if b.files != e.rt.Isolation() {
		b.status, b.message = gen.StatusFailed, e.otherFiles(b)
		return
	}
	sb, err := e.rt.Reopen(runtime.Spec{ID: b.id, Mounts: e.runtimeMounts(e.templates.byID[b.templateID], b.volumes)})
	if err == nil {
		b.sb = sb
		return
	}
	e.log.Warn("files of a sandbox are missing", "sandbox", b.id, "error", err)
	if errors.Is(err, fs.ErrNotExist) {
		b.files = ""
	}
	b.status, b.message = gen.StatusFailed, "the files are not in the data directory any more"
}

func (e *engine) otherFiles(b *box) string {
	return fmt.Sprintf("its files are those of isolation %q, and this server has %q", b.files, e.rt.Isolation())
}

// rest is what a server does to its sandboxes when it closes: they are as
// stopped from now on. mu is held.
func (e *engine) rest() {
	now := time.Now().UTC()
	for _, b := range e.boxes.all() {
		b.disarm()
		if e.records == nil || !b.up() {
			continue
		}
		active := b.active
		b.interrupted(now)
		if b.busy == 0 && !active.IsZero() {
			b.active = active
		}
		e.boxes.mark(b)
	}
}
