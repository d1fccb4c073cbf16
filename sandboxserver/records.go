package sandboxserver

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/langsandbox/sandbox-go/gen"
	"github.com/langsandbox/sandbox-go/internal/quantity"
)

// records writes down what outlives the server. Changes mark what they change
// while they hold the engine; whoever saves next writes all that is marked in
// one transaction. So those who wait behind a write share the next one, and
// nobody holds the engine while the disk works.
type records struct {
	file  *stateFile
	mu    sync.Mutex            // orders writes; taken before the engine's
	write func(...change) error // with mu held
}

type savedMeta struct {
	ID      string    `json:"id"`
	Name    string    `json:"name"`
	Seq     uint64    `json:"seq"`
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

func (m *meta) saved() savedMeta { return savedMeta{m.id, m.name, m.seq, m.created, m.updated} }

// restored gives a thing back its identity. mu is held.
func (e *engine) restored(m savedMeta) meta {
	e.seq = max(e.seq, m.Seq)
	return meta{id: m.ID, name: m.Name, seq: m.Seq, created: m.Created, updated: m.Updated}
}

// keepRecords begins to mark changes.
func (e *engine) keepRecords(file *stateFile) {
	e.records = &records{file: file, write: file.write}
	for _, marks := range []*map[string]bool{
		&e.volumes.marks, &e.registries.marks, &e.snapshots.marks, &e.templates.marks, &e.pools.marks, &e.boxes.marks,
	} {
		*marks = map[string]bool{}
	}
}

// save writes everything that has changed, and returns when it is on the disk.
// The engine is not locked while it writes.
func (e *engine) save() error {
	if e.records == nil {
		return nil
	}
	e.records.mu.Lock()
	defer e.records.mu.Unlock()
	e.mu.Lock()
	changes, err := e.changes()
	e.mu.Unlock()
	if err == nil && len(changes) > 0 {
		err = e.records.write(changes...)
	}
	if err != nil {
		e.mu.Lock()
		e.markAgain(changes)
		e.mu.Unlock()
		return unsaved(err)
	}
	return nil
}

// unsaved tells of a failed save, with the reason if that is the machine's.
func unsaved(err error) error {
	const what = "the change is made, but could not be saved"
	for _, reason := range []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EROFS, syscall.EIO} {
		if errors.Is(err, reason) {
			return internalError(what+": "+reason.Error(), err)
		}
	}
	return internalError(what, err)
}

// saveBox is save for a change that a transition, which is over, has saved if
// it could.
func (e *engine) saveBox(b *box) error {
	e.mu.Lock()
	marked := e.boxes.marks[b.id]
	e.mu.Unlock()
	if !marked {
		return nil
	}
	return e.save()
}

// saveQuietly is save for changes that nobody waits for.
func (e *engine) saveQuietly() {
	if err := e.save(); err != nil {
		e.log.Warn("changes could not be saved", "error", err)
	}
}

// closeRecords saves what is left to save, and gives the store up.
func (e *engine) closeRecords() error {
	if e.records == nil {
		return nil
	}
	return errors.Join(e.save(), e.records.file.close())
}

// changes takes what is marked. mu is held.
func (e *engine) changes() ([]change, error) {
	var c collector
	collect(&c, kindVolume, e.volumes, func(v *volume) any {
		return savedVolume{v.saved(), v.size, v.description, maps.Clone(v.labels)}
	})
	collect(&c, kindRegistry, e.registries, func(r *registry) any {
		return savedRegistry{r.saved(), r.url, r.username, r.password}
	})
	collect(&c, kindSnapshot, e.snapshots, func(s *snapshot) any { return s.saved() })
	collect(&c, kindTemplate, e.templates, func(t *template) any {
		return savedTemplate{t.saved(), t.image, t.resources, t.volumes, t.proxy, t.registryID}
	})
	collect(&c, kindPool, e.pools, func(p *pool) any { return savedPool{p.saved(), p.templateID, p.replicas} })
	collect(&c, kindSandbox, e.boxes, func(b *box) any {
		if b.status == gen.StatusDeleting {
			return nil // before its files go
		}
		return b.saved()
	})
	return c.changes, c.err
}

// collector gathers changes, all of them also when one cannot be written.
type collector struct {
	changes []change
	err     error
}

func collect[T entity](c *collector, kind string, s store[T], saved func(T) any) {
	for id := range s.marks {
		one := change{kind: kind, id: id}
		if t, ok := s.byID[id]; ok {
			if record := saved(t); record != nil {
				data, err := json.Marshal(record)
				if err != nil {
					c.err = errors.Join(c.err, fmt.Errorf("%s %s: %w", kind, id, err))
				}
				one.data = data
			}
		}
		c.changes = append(c.changes, one)
	}
	clear(s.marks)
}

// markAgain is for changes that were not written. mu is held.
func (e *engine) markAgain(changes []change) {
	marks := map[string]map[string]bool{
		kindVolume: e.volumes.marks, kindRegistry: e.registries.marks, kindSnapshot: e.snapshots.marks,
		kindTemplate: e.templates.marks, kindPool: e.pools.marks, kindSandbox: e.boxes.marks,
	}
	for _, c := range changes {
		marks[c.kind][c.id] = true
	}
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

// restore reads what an earlier server left.
func (e *engine) restore(f *stateFile) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return errors.Join(
		load(f, kindVolume, e.enterVolume),
		load(f, kindRegistry, func(s savedRegistry) error {
			e.registries.add(&registry{meta: e.restored(s.savedMeta), url: s.URL, username: s.Username, password: s.Password})
			return nil
		}),
		load(f, kindSnapshot, e.enterSavedSnapshot),
		load(f, kindTemplate, e.enterTemplate),
		load(f, kindPool, func(s savedPool) error {
			if e.templates.byID[s.TemplateID] == nil {
				return errors.New("has a template that is gone")
			}
			e.pools.add(e.newPool(e.restored(s.savedMeta), s.TemplateID, s.Replicas))
			return nil
		}),
		load(f, kindSandbox, e.enterSavedBox),
	)
}

// load decodes the records of a kind.
func load[T any](f *stateFile, kind string, enter func(T) error) error {
	var list []T
	if err := f.each(kind, func(data []byte) error {
		var one T
		if err := json.Unmarshal(data, &one); err != nil {
			return err
		}
		list = append(list, one)
		return nil
	}); err != nil {
		return err
	}
	for _, one := range list {
		if err := enter(one); err != nil {
			return fmt.Errorf("%s: %s: %w", f.name, kind, err)
		}
	}
	return nil
}

func (e *engine) enterVolume(s savedVolume) error {
	v := &volume{meta: e.restored(s.savedMeta), size: s.Size, description: s.Description, labels: s.Labels}
	var err error
	if v.bytes, err = quantity.ParseBytes(s.Size); err != nil {
		return fmt.Errorf("%q: size %w", v.name, err)
	}
	switch err := makeVolumeDir(e.volumeDir(v.id)); {
	case err == nil:
		e.log.Warn("files of a volume are missing: it is empty now", "volume", v.name)
	case !errors.Is(err, fs.ErrExist):
		return fmt.Errorf("%q: %w", v.name, err)
	}
	e.volumes.add(v)
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
		return fmt.Errorf("%q: %w", t.name, err)
	}
	if slices.ContainsFunc(t.volumes, func(m mount) bool { return e.volumes.byID[m.VolumeID] == nil }) {
		return fmt.Errorf("%q mounts a volume that is gone", t.name)
	}
	if t.registryID != "" && e.registries.byID[t.registryID] == nil {
		return fmt.Errorf("%q has a registry that is gone", t.name)
	}
	e.templates.add(t)
	return nil
}
