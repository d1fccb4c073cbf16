package runtime

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/langsandbox/sandbox-go/internal/sandboxagent"
	"github.com/langsandbox/sandbox-go/internal/sandboxagent/treecopy"
)

// Capture copies the sandbox's layer.
func (s *sandbox) Capture(ctx context.Context, spec CaptureSpec) (Captured, error) {
	return s.rt.capture(ctx, s.id, s, spec)
}

// capture copies the layer of a sandbox that runs or was stopped.
func (n *native) capture(ctx context.Context, id string, box Sandbox, spec CaptureSpec) (Captured, error) {
	ctx, done, err := n.read(ctx, id, box)
	if err != nil {
		return Captured{}, captureError(ctx, id, err)
	}
	defer done()
	var identity []string
	for _, name := range sandboxagent.IdentityFiles {
		identity = append(identity, strings.TrimPrefix(name, "/"))
	}
	var stats treecopy.Stats
	err = whole(spec.Dir, func(temp string) (err error) {
		layer := n.layers.path(id)
		stats, err = copyParts(ctx, n.copyTree, n.ids.own, treecopy.Options{Limit: spec.Limit, Whiteouts: true}, []part{
			{src: filepath.Join(layer, snapshotRoot), dst: filepath.Join(temp, snapshotRoot), skip: identity},
			{src: filepath.Join(layer, snapshotUsr), dst: filepath.Join(temp, snapshotUsr)},
		})
		return err
	})
	return Captured(stats), captureError(ctx, id, err)
}

// fill makes the layer of a sandbox that begins with a snapshot, unless it has
// one from before a stop.
func (n *native) fill(ctx context.Context, spec Spec) error {
	dir := n.layers.path(spec.ID)
	if _, err := os.Lstat(dir); spec.Base == "" || !errors.Is(err, fs.ErrNotExist) {
		return nil // makeLayer tells of errors
	}
	return whole(dir, func(temp string) error {
		parts := []part{{src: filepath.Join(spec.Base, snapshotRoot), dst: filepath.Join(temp, snapshotRoot)}}
		usr := filepath.Join(spec.Base, snapshotUsr)
		if _, err := os.Lstat(usr); err == nil {
			parts = append(parts, part{src: usr, dst: filepath.Join(temp, snapshotUsr)})
		}
		// What is noted about the layers below means nothing without them.
		options := treecopy.Options{Whiteouts: n.template != ""}
		if _, err := copyParts(ctx, n.copyTree, n.ids.own, options, parts); err != nil {
			return fmt.Errorf("files of the snapshot: %w", err)
		}
		if err := os.Chmod(temp, 0o755); err != nil {
			return err
		}
		return n.ids.own(temp)
	})
}

// maxReport bounds what a copying process says.
const maxReport = 64 << 10

// copyTree copies in a process that has the rights of a sandbox's root over
// files, and none over those of the host.
func (n *native) copyTree(ctx context.Context, dst, src *os.File, o treecopy.Options) (stats treecopy.Stats, err error) {
	if err := ctx.Err(); err != nil {
		return stats, err
	}
	options, err := json.Marshal(o)
	if err != nil {
		return stats, err
	}
	stdin, alive, err := os.Pipe()
	if err != nil {
		return stats, err
	}
	defer alive.Close()
	defer stdin.Close()
	result, stdout, err := os.Pipe()
	if err != nil {
		return stats, err
	}
	defer result.Close()
	defer stdout.Close()
	attr := &syscall.SysProcAttr{Setsid: true}
	n.ids.apply(attr)
	process, err := os.StartProcess(n.program.path, []string{sandboxagent.Name, string(options)}, &os.ProcAttr{
		Dir: "/", Env: []string{sandboxagent.CopyMarker},
		Files: []*os.File{stdin, stdout, n.null, src, dst}, Sys: attr,
	})
	if err != nil {
		return stats, fmt.Errorf("start copy: %w", err)
	}
	stdin.Close()
	stdout.Close()
	unhook := context.AfterFunc(ctx, func() { _ = process.Kill() })
	defer unhook()
	data, readErr := io.ReadAll(io.LimitReader(result, maxReport))
	_, waitErr := process.Wait()
	if err := ctx.Err(); err != nil {
		return stats, err
	}
	var report sandboxagent.CopyReport
	if err := json.Unmarshal(data, &report); err != nil {
		return stats, errors.Join(errors.New("the copy broke off"), readErr, waitErr)
	}
	return report.Stats, report.Err()
}
