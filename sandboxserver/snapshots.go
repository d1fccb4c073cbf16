package sandboxserver

import (
	"cmp"
	"context"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/langsandbox/sandbox-go/gen"
	"github.com/langsandbox/sandbox-go/internal/image"
)

// localUser is who does everything here: there are no users to tell apart.
const localUser = "local"

const (
	latestTag = "latest"
	// systemName begins the names that are the server's.
	systemName  = "system"
	defaultName = systemName + "/default"
	defaultID   = "00000000-0000-4000-8000-000000000000"
	// defaultDisk is what a root disk holds when nobody says.
	defaultDisk = 16 << 30
)

// snapshot is what sandboxes start with. Its name is that of several, told
// apart by their tags; those whose tag was taken away are reached by id.
type snapshot struct {
	meta
	tag         string // empty without one
	wanted      string // the tag to take when it is ready
	status      gen.SnapshotStatus
	message     string
	description string
	labels      map[string]string
	runs        gen.RunConfig
	image       string // as it was asked for
	root        rootImage
	held        *image.Handle // keeps the image that root is about
	registryID  string
	sourceID    string // the sandbox it was captured from, empty for an image
	config      gen.ImageConfig
	disk, used  int64
	whole       bool // it is ready but for being announced
	carried     carried

	last *transition        // until it is ready, or gone
	stop context.CancelFunc // breaks the capture off
}

// builtin is the snapshot of sandboxes that name none: an empty file system.
func builtin() *snapshot {
	return &snapshot{
		meta: meta{id: defaultID, name: defaultName}, tag: latestTag, status: gen.SnapshotReady, disk: defaultDisk,
		description: "an empty file system with the programs of the host",
	}
}

func (s *snapshot) system() bool { return s.id == defaultID }

func (s *snapshot) view() gen.Snapshot {
	v := gen.Snapshot{
		ID: s.id, Name: s.name, Status: s.status, StatusMessage: s.message, FSCapacityBytes: s.disk, FSUsedBytes: s.used,
		DockerImage: s.image, SourceSandboxID: s.sourceID, RegistryID: s.registryID, Labels: maps.Clone(s.labels),
		Description: s.description, RunConfig: cloneRuns(s.runs), Included: slices.Clone(s.carried.Included),
		ProxyConfig: redact(s.carried.Proxy), CreatedBy: localUser, CreatedAt: s.created, UpdatedAt: s.updated,
	}
	if s.sourceID == "" {
		v.ImageDigest = s.root.Digest
	}
	if s.tag != "" {
		v.Tags = []string{s.tag}
	}
	if s.system() {
		v.CreatedBy = systemName
	}
	return v
}

func (e *engine) snapshotDir(id string) string { return filepath.Join(e.dir, "snapshots", id) }

// base is where the files of a snapshot are; one of an image has none.
func (e *engine) base(s *snapshot) string {
	if s == nil || s.sourceID == "" {
		return ""
	}
	return e.snapshotDir(s.id)
}

// allSnapshots returns those of the workspace and the built-in one, oldest
// first. mu is held.
func (e *engine) allSnapshots() []*snapshot {
	return append([]*snapshot{e.builtin}, e.snapshots.all()...)
}

// findSnapshot takes an id, a name with a tag, or a name alone: for its
// `latest`, else for the newest ready one without a tag. mu is held.
func (e *engine) findSnapshot(ref string) (*snapshot, error) {
	if ref == e.builtin.id {
		return e.builtin, nil
	}
	if s := e.snapshots.byID[ref]; s != nil {
		return s, nil
	}
	name, tag, tagged := strings.Cut(ref, ":")
	if s := e.tagged(name, cmp.Or(tag, latestTag)); s != nil {
		return s, nil
	}
	for _, s := range slices.Backward(e.snapshots.all()) {
		if !tagged && s.name == name && s.tag == "" && s.status == gen.SnapshotReady {
			return s, nil
		}
	}
	return nil, notFound("snapshot", ref)
}

// tagged returns what a tag points to, or nil. mu is held.
func (e *engine) tagged(name, tag string) *snapshot {
	for _, s := range e.allSnapshots() {
		if s.name == name && s.tag == tag {
			return s
		}
	}
	return nil
}

// takeTag gives a snapshot the tag it was made for. One that is not ready yet
// leaves it to a ready one for now, so that the tag never leads nowhere; a
// later snapshot that was ready earlier keeps it. mu is held.
func (e *engine) takeTag(s *snapshot) {
	holder := e.tagged(s.name, s.wanted)
	if holder != nil && holder != s {
		if holder.status == gen.SnapshotReady && (s.status != gen.SnapshotReady || holder.seq > s.seq) {
			return
		}
		holder.tag = ""
		e.snapshots.mark(holder)
	}
	s.tag = s.wanted
	e.snapshots.mark(s)
}

var snapshotName = regexp.MustCompile(`^[a-z0-9]+(([.]|_{1,2}|-+)[a-z0-9]+)*(/[a-z0-9]+(([.]|_{1,2}|-+)[a-z0-9]+)*)*$`)

func checkSnapshotName(name string) error {
	if !snapshotName.MatchString(name) {
		return invalid("name must consist of lower-case letters and digits, with . _ - between them, in parts joined by slashes", "name")
	}
	if name == systemName || within(name, systemName) {
		return invalid("names that begin with "+systemName+"/ are the server's", "name")
	}
	return nil
}

func (e *engine) getSnapshot(ref string) (view gen.Snapshot, err error) {
	return view, e.look(func() error {
		s, err := e.findSnapshot(ref)
		if err == nil {
			view = s.view()
		}
		return err
	})
}

func (e *engine) snapshotTags(name string) (out gen.SnapshotTags, err error) {
	out = gen.SnapshotTags{Name: name, Tags: []gen.SnapshotTag{}}
	return out, e.look(func() error {
		known := false
		for _, s := range e.allSnapshots() {
			known = known || s.name == name
			if s.name == name && s.tag != "" {
				out.Tags = append(out.Tags, gen.SnapshotTag{Tag: s.tag, SnapshotID: s.id})
			}
		}
		if !known {
			return notFound("snapshot", name)
		}
		slices.SortFunc(out.Tags, func(a, b gen.SnapshotTag) int { return strings.Compare(a.Tag, b.Tag) })
		return nil
	})
}

func (e *engine) listSnapshots(p gen.ListSnapshotsParams) (out gen.SnapshotList, err error) {
	contains := strings.ToLower(value(p.NameContains))
	l := listing[*snapshot]{
		order: "snapshots " + string(value(p.SortBy)), direction: cmp.Or(value(p.SortOrder), value(p.SortDirection)),
		limit: cmp.Or(value(p.PageSize), value(p.Limit)), offset: value(p.Offset), cursor: value(p.Cursor),
		keep: func(s *snapshot) bool {
			return (p.Status == nil || s.status == *p.Status) && (p.CreatedBy == nil || !s.system()) &&
				strings.Contains(strings.ToLower(s.name), contains) && labelled(s.labels, p.Labels)
		},
	}
	switch value(p.SortBy) {
	case gen.SnapshotSortByCreatedAt, "": // as it is
	case gen.SnapshotSortByName:
		l.key = byName[*snapshot]
	case gen.SnapshotSortByStatus:
		l.key = func(s *snapshot) string { return string(s.status) }
	}
	return out, e.look(func() error {
		page, err := l.pages(e.allSnapshots())
		items := views(page.items, (*snapshot).view)
		out = gen.SnapshotList{Items: items, Snapshots: items, Offset: page.offset, NextCursor: page.cursor}
		return err
	})
}

// deleteSnapshot takes a snapshot away; its files go afterwards.
func (e *engine) deleteSnapshot(ref string) error {
	return e.do(func() error {
		s, err := e.findSnapshot(ref)
		if err != nil {
			return err
		}
		if s.system() {
			return problem(400, codeInvalidRequest, "snapshot %q is the server's", ref)
		}
		var users []string
		for _, b := range e.boxes.all() {
			if b.snapshotID == s.id {
				users = append(users, "sandbox "+b.name)
			}
		}
		if len(users) > 0 {
			return inUse("snapshot", ref, users)
		}
		delete(e.snapshots.byID, s.id)
		s.status, s.tag = gen.SnapshotDeleting, ""
		e.snapshots.changed(s)
		if s.stop != nil {
			s.stop()
		}
		held := s.held
		s.held = nil
		e.tasks.Go(func() { release(held) })
		if s.sourceID != "" {
			e.begin(s.last, func() error {
				e.saveQuietly() // as for a sandbox
				return e.reclaim(s.id)
			})
		}
		return nil
	})
}

// reclaim removes the files of a snapshot that is gone. Those that others lie
// over go with the last of them.
func (e *engine) reclaim(id string) error {
	if err := e.rt.RemoveSnapshot(e.snapshotDir(id)); err != nil {
		e.log.Warn("files of a deleted snapshot are left", "snapshot", id, "error", err)
		return err
	}
	return nil
}
