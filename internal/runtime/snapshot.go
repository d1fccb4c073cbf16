package runtime

import (
	"context"
	"fmt"
	"sync"

	"github.com/langsandbox/sandbox-go/internal/sandboxagent/treecopy"
)

// ErrTooLarge reports a sandbox whose files do not fit into a snapshot.
var ErrTooLarge = treecopy.ErrTooLarge

// A snapshot is a directory with the files of a sandbox's root that are its
// own, and with those that it put over the host's /usr. Both runtimes make and
// take either kind; what they have in common is the root.
const (
	snapshotRoot = "root"
	snapshotUsr  = "usr"
	// partial ends the name of a directory that is not whole yet.
	partial = ".partial"
)

// CaptureSpec says where files are captured to.
type CaptureSpec struct {
	// Dir is the directory to make, in one that exists. It appears when it is
	// whole. What a server that was killed has left at Dir + ".partial" goes.
	Dir string
	// Limit bounds its size in bytes, counted as Captured does; 0 is no limit.
	Limit int64
}

// Captured is what a capture made.
type Captured struct {
	// Bytes is the size of the files as on a disk with blocks of 4 KiB: their
	// data without holes, a block for each directory, and 256 bytes for each
	// inode.
	Bytes int64
	// Entries is how many names there are.
	Entries int64
}

// reader counts the captures of one sandbox's files, which end before the
// files do.
type reader struct {
	stop  context.CancelFunc
	ctx   context.Context //nolint:containedctx // ends the captures
	going sync.WaitGroup  // added to with the registry's mu held, and the reader in its map
}

// read begins a capture of the files of a sandbox that runs or was stopped.
// done ends it.
func (r *registry) read(ctx context.Context, id string, box Sandbox) (_ context.Context, done func(), err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	owner := r.kept[id]
	if r.closed || r.running[id] != box && (owner == nil || owner.box != box || owner.closed) {
		return ctx, nil, ErrClosed
	}
	files := r.readers[id]
	if files == nil {
		files = new(reader)
		files.ctx, files.stop = context.WithCancel(context.Background())
		r.readers[id] = files
	}
	files.going.Add(1)
	ctx, cancel := context.WithCancelCause(ctx)
	unhook := context.AfterFunc(files.ctx, func() { cancel(ErrClosed) })
	return ctx, func() {
		unhook()
		cancel(nil)
		files.going.Done()
	}, nil
}

// endReads breaks the captures of a sandbox off and waits for them. No new one
// begins, since the sandbox is neither running nor kept any more.
func (r *registry) endReads(id string) {
	r.mu.Lock()
	files := r.readers[id]
	delete(r.readers, id)
	r.mu.Unlock()
	if files != nil {
		files.stop()
		files.going.Wait()
	}
}

// endAllReads does so for all sandboxes.
func (r *registry) endAllReads() {
	r.mu.Lock()
	var ids []string
	for id := range r.readers {
		ids = append(ids, id)
	}
	r.mu.Unlock()
	for _, id := range ids {
		r.endReads(id)
	}
}

// captureError says what failed, and why it was broken off if it was.
func captureError(ctx context.Context, id string, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return fmt.Errorf("capture sandbox %s: %w", id, err)
}
