package sandboxserver

import (
	"maps"
	"os"

	"github.com/langsandbox/sandbox-go/gen"
)

type savedSnapshot struct {
	savedMeta
	Tag         string             `json:"tag,omitzero"`
	Status      gen.SnapshotStatus `json:"status"`
	Message     string             `json:"status_message,omitzero"`
	Description string             `json:"description,omitzero"`
	Labels      map[string]string  `json:"labels,omitzero"`
	Runs        gen.RunConfig      `json:"run_config,omitzero"`
	Image       string             `json:"docker_image,omitzero"`
	RegistryID  string             `json:"registry_id,omitzero"`
	SourceID    string             `json:"source_sandbox_id,omitzero"`
	Config      gen.ImageConfig    `json:"image_config,omitzero"`
	Disk        int64              `json:"fs_capacity_bytes"`
	Used        int64              `json:"fs_used_bytes,omitzero"`
	Carried     carried            `json:"carried,omitzero"`
	Root        rootImage          `json:"root_image,omitzero"`
	// Whole is one that is ready as soon as its record is on the disk, and
	// Wanted the tag that it takes then.
	Whole  bool   `json:"whole,omitzero"`
	Wanted string `json:"wanted_tag,omitzero"`
}

func (s *snapshot) saved() savedSnapshot {
	saved := savedSnapshot{
		savedMeta: s.meta.saved(), Tag: s.tag, Status: s.status, Message: s.message, Description: s.description,
		Labels: maps.Clone(s.labels), Runs: cloneRuns(s.runs), Image: s.image, RegistryID: s.registryID, SourceID: s.sourceID,
		Config: s.config, Disk: s.disk, Used: s.used, Carried: s.carried, Root: s.root,
	}
	if s.whole {
		saved.Whole, saved.Wanted = true, s.wanted
	}
	return saved
}

// enterSavedSnapshot puts a saved snapshot back. One that was being made when its
// server ended, or whose files somebody removed, has failed. mu is held.
func (e *engine) enterSavedSnapshot(r savedSnapshot) error {
	s := &snapshot{
		meta: e.restored(r.savedMeta), tag: r.Tag, wanted: r.Tag, status: r.Status, message: r.Message,
		description: r.Description, labels: r.Labels, runs: r.Runs, image: r.Image, registryID: r.RegistryID,
		sourceID: r.SourceID, config: r.Config, disk: r.Disk, used: r.Used, carried: r.Carried, root: r.Root,
	}
	e.snapshots.byID[s.id] = s
	if s.status == gen.SnapshotBuilding && r.Whole {
		s.status, s.wanted, s.whole = gen.SnapshotReady, r.Wanted, true // resume has it take its tag
	}
	switch s.status {
	case gen.SnapshotFailed, gen.SnapshotDeleting: // without files
	case gen.SnapshotBuilding:
		s.status, s.message = gen.SnapshotFailed, "the server ended while the snapshot was made"
	case gen.SnapshotReady:
		dir := e.base(s)
		if dir == "" {
			return nil
		}
		if _, err := os.Stat(dir); err != nil {
			e.log.Warn("files of a snapshot are missing", "snapshot", s.id, "error", err)
			s.status, s.message = gen.SnapshotFailed, "the files are not in the data directory any more"
		}
	}
	return nil
}
