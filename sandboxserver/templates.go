package sandboxserver

import (
	"cmp"
	"fmt"
	"path"
	"strings"

	"github.com/langsandbox/sandbox-go/gen"
	"github.com/langsandbox/sandbox-go/internal/quantity"
)

// What a sandbox is counted with when its template, or the lack of one, does
// not say.
const (
	defaultCPU    = "500m"
	defaultMemory = "512Mi"
)

// defaultAmounts are those two, parsed.
var defaultAmounts = amounts{cpu: 500, memory: 512 << 20}

// amounts is what one sandbox takes of the quotas.
type amounts struct {
	cpu    int64 // millicores
	memory int64 // bytes
}

// template is a blueprint of sandboxes. Other things refer to it by id, so
// that a rename breaks nothing.
type template struct {
	meta
	image     string
	resources gen.ResourceSpec
	amounts   amounts
	volumes   []mount
	proxy     gen.ProxyConfig

	registryID string // empty without one
}

type mount struct {
	VolumeID string `json:"volume_id"`
	Path     string `json:"path"`
}

func (t *template) mounts(volumeID string) bool {
	for _, m := range t.volumes {
		if m.VolumeID == volumeID {
			return true
		}
	}
	return false
}

// disk is the storage of its sandboxes in bytes, 0 if it does not say.
func (t *template) disk() int64 {
	if t == nil || t.resources.Storage == "" {
		return 0
	}
	n, _ := quantity.ParseBytes(t.resources.Storage) // checked when it was made
	return n
}

// templateView shows a template with the present names of its volumes. mu is
// held.
func (e *engine) templateView(t *template) gen.Template {
	v := gen.Template{
		ID: t.id, Name: t.name, Image: t.image, Resources: t.resources, ProxyConfig: redact(t.proxy),
		CreatedAt: t.created, UpdatedAt: t.updated,
	}
	if r := e.registries.byID[t.registryID]; r != nil {
		v.RegistryID, v.RegistryName = r.id, r.name
	}
	for _, m := range t.volumes {
		v.VolumeMounts = append(v.VolumeMounts, gen.VolumeMount{VolumeName: e.volumes.byID[m.VolumeID].name, MountPath: m.Path})
	}
	return v
}

func (e *engine) createTemplate(req gen.CreateTemplate) (view gen.Template, err error) {
	t := &template{image: req.Image}
	if t.resources, t.amounts, err = e.checkResources(req.Resources); err != nil {
		return view, err
	}
	if err := checkName(req.Name); err != nil {
		return view, err
	}
	if t.proxy, err = storedProxy(req.ProxyConfig, gen.ProxyConfig{}); err != nil {
		return view, err
	}
	if err := e.checkProxy(t.proxy); err != nil {
		return view, err
	}
	return view, e.do(func() error {
		if err := e.templates.free(req.Name); err != nil {
			return err
		}
		if t.volumes, err = e.checkMounts(req.VolumeMounts); err != nil {
			return err
		}
		if t.registryID, err = e.registryID(req.RegistryName); err != nil {
			return err
		}
		t.meta = e.newMeta(newID(), req.Name)
		e.templates.add(t)
		view = e.templateView(t)
		return nil
	})
}

// checkResources fills in defaults and refuses what could never start.
func (e *engine) checkResources(r gen.ResourceSpec) (gen.ResourceSpec, amounts, error) {
	r.CPU, r.Memory = cmp.Or(r.CPU, defaultCPU), cmp.Or(r.Memory, defaultMemory)
	var a amounts
	for _, f := range []struct {
		name, value string
		parse       func(string) (int64, error)
		limit       int64
		into        *int64
	}{
		{"cpu", r.CPU, quantity.ParseMillicores, e.cfg.Limits.CPUMillicores, &a.cpu},
		{"memory", r.Memory, quantity.ParseBytes, e.cfg.Limits.MemoryBytes, &a.memory},
		{"storage", cmp.Or(r.Storage, "1"), quantity.ParseBytes, 0, new(int64)},
	} {
		n, err := f.parse(f.value)
		switch {
		case err != nil:
			return r, a, invalid(f.name+" "+err.Error(), "resources", f.name)
		case n == 0:
			return r, a, invalid(f.name+" must be greater than zero", "resources", f.name)
		case f.limit > 0 && n > f.limit:
			return r, a, invalid(fmt.Sprintf("%s %s is more than this server has", f.name, f.value), "resources", f.name)
		}
		*f.into = n
	}
	return r, a, nil
}

// reserved are the places of a sandbox that belong to its system.
var reserved = []string{"/bin", "/dev", "/etc", "/lib", "/lib32", "/lib64", "/libx32", "/proc", "/sbin", "/sys", "/usr"}

// checkMounts resolves volumes by name. mu is held.
func (e *engine) checkMounts(mounts []gen.VolumeMount) ([]mount, error) {
	var out []mount
	for i, m := range mounts {
		at := func(member string) []any { return []any{"volume_mounts", i, member} }
		v, err := e.volumes.get(m.VolumeName)
		if err != nil {
			return nil, invalid(fmt.Sprintf("volume %q not found", m.VolumeName), at("volume_name")...)
		}
		next := mount{VolumeID: v.id, Path: m.MountPath}
		if err := e.checkMount(next, out, at("volume_name"), at("mount_path")); err != nil {
			return nil, err
		}
		out = append(out, next)
	}
	return out, nil
}

func mountPathProblem(p string) string {
	if !path.IsAbs(p) || path.Clean(p) != p || strings.ContainsRune(p, 0) {
		return "mount path must be absolute, without . or .. or doubled or trailing slashes"
	}
	if p == "/" {
		return "a volume cannot be mounted at /"
	}
	for _, dir := range reserved {
		if within(p, dir) {
			return "a volume cannot be mounted in " + dir
		}
	}
	return ""
}

func within(p, dir string) bool { return p == dir || strings.HasPrefix(p, dir+"/") }

func (e *engine) getTemplate(name string) (view gen.Template, err error) {
	return view, e.look(func() error {
		t, err := e.templates.get(name)
		if err == nil {
			view = e.templateView(t)
		}
		return err
	})
}

func (e *engine) listTemplates(p gen.ListTemplatesParams) (out gen.TemplateList, err error) {
	l := listing[*template]{direction: value(p.SortDirection), nameContains: value(p.NameContains), limit: value(p.Limit), offset: value(p.Offset)}
	switch value(p.SortBy) {
	case gen.TemplateSortByCreatedAt, "": // as it is
	case gen.TemplateSortByName:
		l.key = byName[*template]
	case gen.TemplateSortByImage:
		l.key = func(t *template) string { return t.image }
	}
	return out, e.look(func() error {
		page, next := l.page(e.templates.all())
		out = gen.TemplateList{Templates: views(page, e.templateView), Offset: next}
		return nil
	})
}

func (e *engine) updateTemplate(name string, req gen.TemplateUpdate) (view gen.Template, err error) {
	return view, e.do(func() error {
		t, err := e.templates.get(name)
		if err != nil {
			return err
		}
		if err := checkName(req.Name); err != nil {
			return err
		}
		if err := e.templates.rename(t, req.Name); err != nil {
			return err
		}
		e.templates.changed(t)
		view = e.templateView(t)
		return nil
	})
}

func (e *engine) deleteTemplate(name string) error {
	return e.do(func() error { return e.removeTemplate(name) })
}

// removeTemplate takes a template away unless something uses it. mu is held.
func (e *engine) removeTemplate(name string) error {
	t, err := e.templates.get(name)
	if err != nil {
		return err
	}
	var users []string
	for _, b := range e.boxes.all() {
		if b.templateID == t.id {
			users = append(users, "sandbox "+b.name)
		}
	}
	for _, p := range e.pools.all() {
		if p.templateID == t.id {
			users = append(users, "pool "+p.name)
		}
	}
	if len(users) > 0 {
		return inUse("template", name, users)
	}
	e.templates.remove(t)
	return nil
}

func (e *engine) deleteTemplates(names []string) (out gen.BatchDeleteResult, err error) {
	out = emptyBatch()
	return out, e.do(func() error {
		for _, name := range names {
			batched(&out, name, e.removeTemplate(name))
		}
		return nil
	})
}

func emptyBatch() gen.BatchDeleteResult {
	return gen.BatchDeleteResult{Deleted: []string{}, Skipped: []gen.Skipped{}}
}

// batched enters what became of one name of a batch.
func batched(out *gen.BatchDeleteResult, name string, err error) {
	if err == nil {
		out.Deleted = append(out.Deleted, name)
		return
	}
	out.Skipped = append(out.Skipped, gen.Skipped{Name: name, Reason: asAPIError(err).message})
}
