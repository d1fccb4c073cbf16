package sandboxserver

import (
	"cmp"
	"fmt"

	"github.com/langsandbox/sandbox-go/gen"
	"github.com/langsandbox/sandbox-go/internal/runtime"
)

// Clients learn which quota it was from words in the message, and the first
// that match win: "sandbox" with "limit", "cpu", "memory", "volume" with
// "count", "storage". No message may therefore hold an earlier one's words.

func overQuota(format string, args ...any) error {
	return &apiError{status: 429, code: codeQuota, message: fmt.Sprintf(format, args...), retryAfter: retryAfterQuota}
}

// used is what the sandboxes take of the quotas.
type used struct {
	direct, pooled, running, stopped int
	amounts
}

func (u *used) plus(a amounts, n int64) {
	u.cpu = add(u.cpu, times(a.cpu, n))
	u.memory = add(u.memory, times(a.memory, n))
}

// usage counts. mu is held.
func (e *engine) used() *used {
	u := new(used)
	for _, b := range e.boxes.byID {
		u.direct++
		switch {
		case b.up():
			u.running++
			u.plus(b.amounts, 1)
		case b.status == gen.StatusStopped:
			u.stopped++
		}
	}
	for _, p := range e.pools.byID {
		n := len(p.ready) + p.starting
		u.pooled += n
		u.running += len(p.ready)
		u.plus(e.templates.byID[p.templateID].amounts, int64(n))
	}
	return u
}

// sandboxQuota checks whether n more sandboxes with those amounts fit. mu is
// held.
func (e *engine) sandboxQuota(n int, a amounts) error {
	u, l := e.used(), e.cfg.Limits
	if l.Sandboxes > 0 && u.direct+u.pooled+n > l.Sandboxes {
		return overQuota("sandbox limit of %d reached: delete some first", l.Sandboxes)
	}
	return u.amountQuota(l, times(a.cpu, int64(n)), times(a.memory, int64(n)))
}

func (u *used) amountQuota(l Limits, cpu, memory int64) error {
	if l.CPUMillicores > 0 && add(u.cpu, cpu) > l.CPUMillicores {
		return overQuota("cpu quota exceeded: %dm of %dm are in use", u.cpu, l.CPUMillicores)
	}
	if l.MemoryBytes > 0 && add(u.memory, memory) > l.MemoryBytes {
		return overQuota("memory quota exceeded: %d of %d bytes are in use", u.memory, l.MemoryBytes)
	}
	return nil
}

// volumeQuota checks whether n more volumes, and so many more bytes, fit. mu
// is held.
func (e *engine) volumeQuota(n int, bytes int64) error {
	l := e.cfg.Limits
	if n > 0 && l.Volumes > 0 && len(e.volumes.byID)+n > l.Volumes {
		return overQuota("volume count limit of %d reached: delete some first", l.Volumes)
	}
	inUse := e.storage()
	if l.StorageBytes > 0 && bytes > 0 && add(inUse, bytes) > l.StorageBytes {
		return overQuota("storage quota exceeded: %d of %d bytes are in use", inUse, l.StorageBytes)
	}
	return nil
}

// snapshotQuota checks whether one more snapshot fits. mu is held.
func (e *engine) snapshotQuota() error {
	if l := e.cfg.Limits; l.Snapshots > 0 && len(e.snapshots.byID) >= l.Snapshots {
		return overQuota("snapshot limit of %d reached: delete some first", l.Snapshots)
	}
	return nil
}

func (e *engine) storage() int64 {
	var sum int64
	for _, v := range e.volumes.byID {
		sum = add(sum, v.bytes)
	}
	return sum
}

func (e *engine) usage() (out gen.Usage, err error) {
	return out, e.look(func() error {
		u, l := e.used(), e.cfg.Limits
		out = gen.Usage{
			SandboxesUsed:            u.direct + u.pooled,
			SandboxesLimit:           l.Sandboxes,
			SandboxDirectCount:       u.direct,
			SandboxPoolReplicasCount: u.pooled,
			SandboxRunningCount:      u.running,
			SandboxStoppedCount:      u.stopped,
			CPUUsedMillicores:        int(u.cpu),
			CPULimitMillicores:       int(l.CPUMillicores),
			MemoryUsedBytes:          u.memory,
			MemoryLimitBytes:         l.MemoryBytes,
			StorageUsedBytes:         e.storage(),
			StorageLimitBytes:        l.StorageBytes,
			VolumesUsed:              len(e.volumes.byID),
			VolumesLimit:             l.Volumes,
			TemplatesCount:           len(e.templates.byID),
			PoolsCount:               len(e.pools.byID),
			RegistriesCount:          len(e.registries.byID),
			SnapshotsCount:           len(e.snapshots.byID),
		}
		return nil
	})
}

// maxProcesses is how many processes and threads a sandbox may have, for which
// the API has no size.
const maxProcesses = 4096

// limits are the sizes as limits of all that runs in a sandbox.
func (a amounts) limits() runtime.Limits {
	return runtime.Limits{CPUMillicores: a.cpu, MemoryBytes: a.memory, PIDs: maxProcesses}
}

// limits are the sizes that a sandbox or its template was given. Those that are
// only assumed count against quotas, and limit nothing. mu is held.
func (e *engine) limits(b *box) runtime.Limits {
	l := b.amounts.limits()
	t := e.templates.byID[b.templateID]
	l.FileBytes = e.fileBytes(cmp.Or(b.sizes.disk, t.disk()), t, b.volumes)
	if b.templateID == "" && b.sizes.cpu() == 0 {
		l.CPUMillicores = 0
	}
	if b.templateID == "" && b.sizes.memory == 0 {
		l.MemoryBytes = 0
	}
	return l
}

// fileBytes is how large a file can be on a disk of that size, or on one of the
// volumes beside it: the limit is one for all. mu is held.
func (e *engine) fileBytes(disk int64, t *template, own []attachment) int64 {
	if disk == 0 {
		return 0
	}
	if t != nil {
		for _, m := range t.volumes {
			disk = max(disk, e.volumes.byID[m.VolumeID].bytes)
		}
	}
	for _, a := range own {
		disk = max(disk, e.volumes.byID[a.VolumeID].bytes)
	}
	return disk
}
