package sandboxserver

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/langsandbox/sandbox-go/gen"
	"github.com/langsandbox/sandbox-go/internal/runtime"
)

// spillName begins the files that commands' output is put in, which lose their
// names at once.
const spillName = "output-"

// ownName is how the directories of snapshots and volumes are called, and what
// is left of them: by an id. What has another name is somebody else's.
var ownName = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}($|\.)`)

// sweep removes what a server that was killed has left in the data directory:
// files of captures it was at, of snapshots and volumes that are gone, and
// files that were not whole yet. Snapshots that others lie over stay as long as
// those. What cannot be removed stays, and is told of; so does what somebody
// else put there.
// The runtime and the store of images have swept their own. mu is held;
// nothing else goes on yet.
func (e *engine) sweep() {
	e.sweepDir("snapshots", e.rt.RemoveSnapshot, func(name string) bool {
		s := e.snapshots.byID[name]
		return ownName.MatchString(name) && (s == nil || s.status != gen.SnapshotReady)
	})
	e.sweepDir("volumes", runtime.RemoveTree, func(name string) bool {
		return ownName.MatchString(name) && e.volumes.byID[name] == nil
	})
	e.sweepDir("", os.Remove, func(name string) bool {
		return strings.HasPrefix(name, signingKeyName+".") || strings.HasPrefix(name, newStateName) || strings.HasPrefix(name, spillName)
	})
}

// sweepDir removes those in a directory that are left over.
func (e *engine) sweepDir(dir string, remove func(string) error, left func(name string) bool) {
	dir = filepath.Join(e.dir, dir)
	entries, err := os.ReadDir(dir)
	if err != nil {
		e.log.Warn("leftovers are not looked for", "dir", dir, "error", err)
	}
	for _, entry := range entries {
		if !left(entry.Name()) {
			continue
		}
		name := filepath.Join(dir, entry.Name())
		if err := remove(name); err != nil {
			e.log.Warn("a leftover cannot be removed", "name", name, "error", err)
			continue
		}
		if _, err := os.Lstat(name); errors.Is(err, fs.ErrNotExist) {
			e.log.Info("a leftover is removed", "name", name)
		}
	}
}
