package sandboxserver

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/langsandbox/sandbox-go/gen"
	"github.com/langsandbox/sandbox-go/internal/quantity"
)

const (
	recordsName    = "state.json"
	recordsVersion = 1
)

// records keeps volumes, templates, pools, registries and snapshots in one
// file, which is replaced as a whole, so that nothing half-written is ever
// read. It holds the secrets of registries, proxy configurations and snapshots
// and is readable to its owner only.
type records struct {
	file string
	mu   sync.Mutex // orders writes; taken before the engine's
}

type savedState struct {
	Version   int             `json:"version"`
	Volumes   []savedVolume   `json:"volumes"`
	Templates []savedTemplate `json:"templates"`
	Pools     []savedPool     `json:"pools"`

	Registries []savedRegistry `json:"registries"`
	Snapshots  []savedSnapshot `json:"snapshots,omitzero"`
}

type savedMeta struct {
	ID      string    `json:"id"`
	Name    string    `json:"name"`
	Created time.Time `json:"created_at"`
	Updated time.Time `json:"updated_at"`
}

type savedVolume struct {
	savedMeta
	Size        string            `json:"size"`
	Description string            `json:"description,omitzero"`
	Labels      map[string]string `json:"labels,omitzero"`
}

type savedTemplate struct {
	savedMeta
	Image     string           `json:"image"`
	Resources gen.ResourceSpec `json:"resources"`
	Mounts    []mount          `json:"mounts"`
	Proxy     gen.ProxyConfig  `json:"proxy_config,omitzero"`

	RegistryID string `json:"registry_id,omitzero"`
}

type savedRegistry struct {
	savedMeta
	URL      string `json:"url"`
	Username string `json:"username,omitzero"`
	Password string `json:"password,omitzero"`
}

type savedPool struct {
	savedMeta
	TemplateID string `json:"template_id"`
	Replicas   int    `json:"replicas"`
}

func (m *meta) saved() savedMeta { return savedMeta{m.id, m.name, m.created, m.updated} }

// restored gives a thing back its identity; those saved first come first. mu
// is held.
func (e *engine) restored(m savedMeta) meta {
	e.seq++
	return meta{id: m.ID, name: m.Name, seq: e.seq, created: m.Created, updated: m.Updated}
}

// save writes everything that outlives the server. The engine is not locked
// while it writes.
func (e *engine) save() error {
	if e.records == nil {
		return nil
	}
	e.records.mu.Lock()
	defer e.records.mu.Unlock()
	e.mu.Lock()
	state := e.state()
	e.mu.Unlock()
	if err := e.records.write(state); err != nil {
		return internalError("the change is made, but could not be saved", err)
	}
	return nil
}

func (e *engine) state() savedState {
	s := savedState{Version: recordsVersion}
	for _, v := range e.volumes.all() {
		s.Volumes = append(s.Volumes, savedVolume{v.saved(), v.size, v.description, maps.Clone(v.labels)})
	}
	for _, r := range e.registries.all() {
		s.Registries = append(s.Registries, savedRegistry{r.saved(), r.url, r.username, r.password})
	}
	for _, one := range e.snapshots.all() {
		s.Snapshots = append(s.Snapshots, one.saved())
	}
	for _, t := range e.templates.all() {
		s.Templates = append(s.Templates, savedTemplate{t.saved(), t.image, t.resources, t.volumes, t.proxy, t.registryID})
	}
	for _, p := range e.pools.all() {
		s.Pools = append(s.Pools, savedPool{p.saved(), p.templateID, p.replicas})
	}
	return s
}

func (r *records) write(state savedState) error {
	data, err := json.MarshalIndent(state, "", "  ")
	if err != nil {
		return err
	}
	return replaceFile(r.file, data)
}

// replaceFile writes a file that only its owner may read, in place of an old
// one and whole or not at all.
func replaceFile(name string, data []byte) (err error) {
	tmp, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".*") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(tmp.Name()))
		}
	}()
	_, err = tmp.Write(data)
	if err == nil {
		err = tmp.Sync()
	}
	if err = errors.Join(err, tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), name)
}

// restore reads what an earlier server left, and fills its pools again.
func (e *engine) restore() error {
	data, err := os.ReadFile(e.records.file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var state savedState
	if err := json.Unmarshal(data, &state); err != nil {
		return fmt.Errorf("%s: %w", e.records.file, err)
	}
	if state.Version != recordsVersion {
		return fmt.Errorf("%s has version %d, this program knows %d", e.records.file, state.Version, recordsVersion)
	}
	return e.look(func() error { return e.enter(state) })
}

// enter puts saved things back in the order they depend on each other. mu is
// held.
func (e *engine) enter(state savedState) error {
	for _, s := range state.Volumes {
		v := &volume{meta: e.restored(s.savedMeta), size: s.Size, description: s.Description, labels: s.Labels}
		var err error
		if v.bytes, err = quantity.ParseBytes(s.Size); err != nil {
			return fmt.Errorf("volume %q: size %w", v.name, err)
		}
		if err := makeVolumeDir(e.volumeDir(v.id)); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("volume %q: %w", v.name, err)
		}
		e.volumes.add(v)
	}
	for _, s := range state.Registries {
		e.registries.add(&registry{meta: e.restored(s.savedMeta), url: s.URL, username: s.Username, password: s.Password})
	}
	if err := e.enterSnapshots(state.Snapshots); err != nil {
		return err
	}
	for _, s := range state.Templates {
		if err := e.enterTemplate(s); err != nil {
			return fmt.Errorf("template %q: %w", s.Name, err)
		}
	}
	for _, s := range state.Pools {
		if e.templates.byID[s.TemplateID] == nil {
			return fmt.Errorf("pool %q has a template that is gone", s.Name)
		}
		p := e.newPool(e.restored(s.savedMeta), s.TemplateID, s.Replicas)
		e.pools.add(p)
		e.fill(p)
	}
	return nil
}

func (e *engine) enterTemplate(s savedTemplate) error {
	t := &template{
		meta: e.restored(s.savedMeta), image: s.Image, resources: s.Resources,
		volumes: s.Mounts, proxy: s.Proxy, registryID: s.RegistryID,
	}
	var err1, err2 error
	t.amounts.cpu, err1 = quantity.ParseMillicores(s.Resources.CPU)
	t.amounts.memory, err2 = quantity.ParseBytes(s.Resources.Memory)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	for _, m := range t.volumes {
		if e.volumes.byID[m.VolumeID] == nil {
			return errors.New("mounts a volume that is gone")
		}
	}
	if t.registryID != "" && e.registries.byID[t.registryID] == nil {
		return errors.New("has a registry that is gone")
	}
	e.templates.add(t)
	return nil
}
