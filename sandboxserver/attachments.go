package sandboxserver

import (
	"fmt"

	"github.com/langsandbox/sandbox-go/gen"
	"github.com/langsandbox/sandbox-go/internal/runtime"
)

// attachment is a volume that a sandbox uses from its creation to its
// deletion, whether it runs or not.
type attachment struct {
	mount
	readOnly bool
}

// attachVolumes resolves the volumes of a request and checks that they go
// together with the template's and with what other sandboxes use. mu is held.
func (e *engine) attachVolumes(req []gen.AttachVolume, t *template) ([]attachment, error) {
	var taken []mount
	if t != nil {
		taken = append(taken, t.volumes...)
	}
	var out []attachment
	for i, r := range req {
		at := func(member string) []any { return []any{"volumes", i, member} }
		v, err := e.volumes.find(r.Volume)
		if err != nil {
			return nil, invalid(fmt.Sprintf("volume %q not found", r.Volume), at("volume")...)
		}
		if r.ReadOnly && e.rt.Isolation() == runtime.IsolationProcess {
			return nil, notSupported("volumes that can only be read, as there is no isolation: leave read_only out")
		}
		m := mount{VolumeID: v.id, Path: r.MountPath}
		if err := e.checkMount(m, taken, at("volume"), at("mount_path")); err != nil {
			return nil, err
		}
		if err := e.checkShared(v, r.ReadOnly); err != nil {
			return nil, err
		}
		taken = append(taken, m)
		out = append(out, attachment{m, r.ReadOnly})
	}
	return out, nil
}

// checkShared lets several sandboxes use a volume only if none can change it.
// mu is held.
func (e *engine) checkShared(v *volume, readOnly bool) error {
	for _, b := range e.boxes.all() {
		for _, a := range b.volumes {
			if a.VolumeID == v.id && (!readOnly || !a.readOnly) {
				return problem(409, codeConflict,
					"volume %q is in use by sandbox %s: several sandboxes can use a volume only if all read it only", v.name, b.name)
			}
		}
	}
	return nil
}

// checkMount checks a mount against those before it. mu is held.
func (e *engine) checkMount(m mount, taken []mount, volumeAt, pathAt []any) error {
	if problem := mountPathProblem(m.Path); problem != "" {
		return invalid(problem, pathAt...)
	}
	for _, other := range taken {
		if within(m.Path, other.Path) || within(other.Path, m.Path) {
			return invalid(fmt.Sprintf("mount path %s overlaps %s", m.Path, other.Path), pathAt...)
		}
		if other.VolumeID == m.VolumeID {
			return invalid(fmt.Sprintf("volume %q is mounted twice", e.volumes.byID[m.VolumeID].name), volumeAt...)
		}
	}
	return nil
}

// attachments lists who uses a volume. mu is held.
func (e *engine) attachments(v *volume) []gen.VolumeAttachment {
	var out []gen.VolumeAttachment
	for _, b := range e.boxes.all() {
		for _, a := range b.volumes {
			if a.VolumeID == v.id {
				out = append(out, gen.VolumeAttachment{SandboxID: b.id, SandboxName: b.name, MountPath: a.Path, ReadOnly: a.readOnly})
			}
		}
	}
	return out
}

// attachedViews shows the volumes of a sandbox. mu is held.
func (e *engine) attachedViews(b *box) []gen.AttachedVolume {
	return views(b.volumes, func(a attachment) gen.AttachedVolume {
		return gen.AttachedVolume{
			VolumeID: a.VolumeID, VolumeName: e.volumes.byID[a.VolumeID].name, MountPath: a.Path, ReadOnly: a.readOnly,
		}
	})
}

// runtimeMounts says what the runtime has to mount for a sandbox: the volumes
// of its template and its own. mu is held.
func (e *engine) runtimeMounts(t *template, own []attachment) []runtime.Mount {
	var out []runtime.Mount
	if t != nil {
		for _, m := range t.volumes {
			out = append(out, runtime.Mount{Source: e.volumeDir(m.VolumeID), Target: m.Path})
		}
	}
	for _, a := range own {
		out = append(out, runtime.Mount{Source: e.volumeDir(a.VolumeID), Target: a.Path, ReadOnly: a.readOnly})
	}
	return out
}
