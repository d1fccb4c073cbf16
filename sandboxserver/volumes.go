package sandboxserver

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"strconv"
	"strings"

	"github.com/langsandbox/sandbox-go/gen"
	"github.com/langsandbox/sandbox-go/internal/quantity"
	"github.com/langsandbox/sandbox-go/internal/runtime"
)

// storageClass is what volumes report: a directory of this machine.
const storageClass = "local"

// volume is a directory that templates mount and sandboxes attach. Its size
// counts against the quota and is not enforced on the files.
type volume struct {
	meta
	size        string
	bytes       int64
	description string
	labels      map[string]string
}

// volumeView shows a volume with its present users. mu is held.
func (e *engine) volumeView(v *volume) gen.Volume {
	return gen.Volume{
		ID: v.id, Name: v.name, Size: v.size, StorageClass: storageClass, SizeBytes: v.bytes,
		Description: v.description, Labels: maps.Clone(v.labels), Attachments: e.attachments(v), CreatedBy: localUser, UpdatedBy: localUser,
		CreatedAt: v.created, UpdatedAt: v.updated,
	}
}

// newVolume checks a request that has the size in one of two ways.
func newVolume(req gen.CreateVolume) (*volume, error) {
	v := &volume{size: req.Size, description: req.Description, labels: maps.Clone(req.Labels)}
	if err := checkName(req.Name); err != nil {
		return nil, err
	}
	if err := checkLabels(v.labels); err != nil {
		return nil, err
	}
	switch {
	case req.Size == "" && req.SizeBytes == 0:
		return nil, invalid("size or size_bytes is required", "size")
	case req.Size != "" && req.SizeBytes != 0:
		return nil, invalid("size and size_bytes exclude each other", "size_bytes")
	case req.SizeBytes > maxVolume:
		return nil, invalid("size_bytes is too large", "size_bytes")
	case req.SizeBytes != 0:
		v.size = strconv.FormatInt((req.SizeBytes+gibibyte-1)/gibibyte, 10) + "Gi"
	}
	var err error
	v.bytes, err = volumeSize(v.size)
	return v, err
}

const (
	gibibyte  = 1 << 30
	maxVolume = 1 << 60 // bytes; more cannot be rounded up to a whole GiB
)

func volumeSize(size string) (int64, error) {
	n, err := quantity.ParseBytes(size)
	if err != nil {
		return 0, invalid("size "+err.Error(), "size")
	}
	if n == 0 {
		return 0, invalid("size must be greater than zero", "size")
	}
	return n, nil
}

func (e *engine) createVolume(req gen.CreateVolume) (gen.Volume, error) {
	v, err := newVolume(req)
	if err != nil {
		return gen.Volume{}, err
	}
	// The directory comes first, so that nobody mounts a volume without one.
	id := newID()
	if err := makeVolumeDir(e.volumeDir(id)); err != nil {
		return gen.Volume{}, &apiError{
			status: 503, code: codeVolumeProvisioning,
			message: "the volume's directory could not be made", cause: err,
		}
	}
	var view gen.Volume
	if err := e.look(func() error {
		if err := e.volumes.free(req.Name); err != nil {
			return err
		}
		if err := e.volumeQuota(1, v.bytes); err != nil {
			return err
		}
		v.meta = e.newMeta(id, req.Name)
		e.volumes.add(v)
		view = e.volumeView(v)
		return nil
	}); err != nil {
		return view, errors.Join(err, os.Remove(e.volumeDir(id)))
	}
	return view, e.save()
}

// makeVolumeDir makes a directory any user of a sandbox may write to: who
// that is on the host depends on the runtime.
func makeVolumeDir(dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	return os.Chmod(dir, 0o777) //nolint:gosec // its parent lets nobody else in
}

func (e *engine) getVolume(name string) (view gen.Volume, err error) {
	return view, e.look(func() error {
		v, err := e.volumes.find(name)
		if err == nil {
			view = e.volumeView(v)
		}
		return err
	})
}

func (e *engine) listVolumes(p gen.ListVolumesParams) (out gen.VolumeList, err error) {
	l := listing[*volume]{
		order: "volumes", nameContains: value(p.NameContains),
		limit: cmp.Or(value(p.PageSize), value(p.Limit)), offset: value(p.Offset), cursor: value(p.Cursor),
	}
	return out, e.look(func() error {
		page, err := l.pages(e.volumes.all())
		items := views(page.items, e.volumeView)
		out = gen.VolumeList{Items: items, Volumes: items, Offset: page.offset, NextCursor: page.cursor}
		return err
	})
}

func (e *engine) updateVolume(name string, req gen.VolumeUpdate) (view gen.Volume, err error) {
	return view, e.do(func() error {
		v, err := e.volumes.find(name)
		if err != nil {
			return err
		}
		if err := checkLabels(req.Labels); err != nil {
			return err
		}
		size, bytes, err := e.resized(v, req.Size)
		if err != nil {
			return err
		}
		if err := checkName(req.Name); err != nil {
			return err
		}
		if err := e.volumes.rename(v, req.Name); err != nil {
			return err
		}
		if req.Description != nil {
			v.description = *req.Description
		}
		if req.Labels != nil {
			v.labels = maps.Clone(req.Labels)
		}
		v.size, v.bytes = size, bytes
		e.volumes.changed(v)
		view = e.volumeView(v)
		return nil
	})
}

// resized checks a new size; an empty one is the present one. mu is held.
func (e *engine) resized(v *volume, size string) (string, int64, error) {
	if size == "" {
		return v.size, v.bytes, nil
	}
	bytes, err := volumeSize(size)
	if err != nil {
		return "", 0, err
	}
	if bytes < v.bytes {
		return "", 0, problem(400, codeResize, "volume %q has %s and cannot shrink to %s", v.name, v.size, size)
	}
	return size, bytes, e.volumeQuota(0, bytes-v.bytes)
}

func (e *engine) deleteVolume(name string) error {
	var dir string
	if err := e.do(func() error {
		v, err := e.volumes.find(name)
		if err != nil {
			return err
		}
		var users []string
		for _, a := range e.attachments(v) {
			users = append(users, "sandbox "+a.SandboxName)
		}
		for _, t := range e.templates.all() {
			if t.mounts(v.id) {
				users = append(users, "template "+t.name)
			}
		}
		if len(users) > 0 {
			return inUse("volume", name, users)
		}
		e.volumes.remove(v)
		dir = e.volumeDir(v.id)
		return nil
	}); err != nil {
		return err
	}
	if err := runtime.RemoveTree(dir); err != nil {
		return internalError("the volume is deleted, but its files could not all be removed", err)
	}
	return nil
}

func inUse(kind, name string, users []string) error {
	return problem(409, codeConflict, "%s %q is in use by %s", kind, name, strings.Join(users, ", "))
}

// checkName refuses names that cannot be addressed in a URL path.
func checkName(name string) error {
	if name == "." || name == ".." {
		return invalid(fmt.Sprintf("%q cannot be a name", name), "name")
	}
	return nil
}
