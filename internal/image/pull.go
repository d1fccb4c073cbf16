package image

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// parallel is how many layers of an image are fetched at once.
const parallel = 3

// Pull returns the image of a reference, and holds it; the caller releases it.
// The registry is asked each time, layers that are there are not sent again.
// Failures are an *Error. One that is broken off, or fails, leaves nothing.
func (s *Store) Pull(ctx context.Context, r Request) (*Handle, error) {
	ctx, done, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	h, err := s.pull(ctx, r)
	if err != nil {
		return nil, classify(ctx, clip(r.Reference), err)
	}
	return h, nil
}

// begin joins a call's context with the store's.
func (s *Store) begin(ctx context.Context) (context.Context, func(), error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ctx, nil, ErrClosed
	}
	s.going.Add(1)
	ctx, cancel := context.WithCancelCause(ctx)
	unhook := context.AfterFunc(s.ctx, func() { cancel(ErrClosed) })
	return ctx, func() {
		unhook()
		cancel(nil)
		s.going.Done()
	}, nil
}

func (s *Store) pull(ctx context.Context, r Request) (*Handle, error) {
	from, err := s.parse(r)
	if err != nil {
		return nil, err
	}
	m, err := s.resolve(ctx, from)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	if k := s.images[m.digest.String()]; k != nil {
		defer s.mu.Unlock()
		return s.hold(k), nil
	}
	s.mu.Unlock()
	p := &pull{
		store: s, from: from, left: newBudget(min(s.config.Limits.Bytes, s.config.MaxBytes)),
		progress: r.Progress, now: Progress{Layers: len(m.layers)},
	}
	for _, blob := range m.layers {
		p.now.Bytes += blob.Size
	}
	defer p.release()
	if err := p.layers(ctx, m); err != nil {
		return nil, err
	}
	if err := s.checkSize(m); err != nil {
		return nil, err
	}
	return s.finish(m)
}

// checkSize holds an image to its limit with the layers that were there before,
// which the budget of a pull does not know of.
func (s *Store) checkSize(m *manifest) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var size int64
	seen := map[v1.Hash]bool{}
	for _, diff := range m.config.RootFS.DiffIDs {
		if !seen[diff] {
			seen[diff] = true
			size += s.layers[diff].Size // the pull holds it
		}
	}
	if size > s.config.Limits.Bytes {
		return &problem{ErrTooLarge, "its files are larger than allowed"}
	}
	return nil
}

// pull is one that goes on.
type pull struct {
	store    *Store
	from     *source
	left     *budget
	progress func(Progress)

	mu    sync.Mutex
	ended bool // others may still need a download that this one began
	now   Progress
	held  []v1.Hash // layers that are there, and stay for this pull
}

// advance tells how far the download is.
func (p *pull) advance(bytes int64, layers int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now.BytesDone = min(p.now.BytesDone+bytes, p.now.Bytes)
	p.now.LayersDone += layers
	if p.progress != nil && !p.ended {
		p.progress(p.now)
	}
}

// layers sees to it that the layers are there. They are p's until release.
func (p *pull) layers(ctx context.Context, m *manifest) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var group sync.WaitGroup
	slots := make(chan struct{}, parallel)
	seen := map[v1.Hash]bool{}
	for i, blob := range m.layers {
		diff := m.config.RootFS.DiffIDs[i]
		if seen[diff] {
			p.advance(blob.Size, 1)
			continue
		}
		seen[diff] = true
		group.Go(func() {
			select {
			case slots <- struct{}{}:
			case <-ctx.Done():
				return
			}
			if err := p.layer(ctx, blob, diff); err != nil {
				cancel(err)
			}
			<-slots
		})
	}
	group.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}

func (p *pull) layer(ctx context.Context, blob v1.Descriptor, diff v1.Hash) error {
	var counted int64
	d := &download{blob: blob, diff: diff, left: p.left, done: func(n int) {
		counted += int64(n)
		p.advance(int64(n), 0)
	}, open: func(ctx context.Context) (io.ReadCloser, error) {
		layer, err := p.from.puller.Layer(ctx, p.from.ref.Context().Digest(blob.Digest.String()))
		if err != nil {
			return nil, err
		}
		return layer.Compressed()
	}}
	if err := p.store.need(ctx, d); err != nil {
		return err
	}
	p.mu.Lock()
	p.held = append(p.held, diff)
	p.mu.Unlock()
	p.advance(blob.Size-counted, 1)
	return nil
}

// release gives up the layers, which stay if an image has them by now.
func (p *pull) release() {
	p.mu.Lock()
	p.ended = true
	p.mu.Unlock()
	s := p.store
	s.mu.Lock()
	trash := s.unref(p.held)
	s.mu.Unlock()
	_ = s.remove(trash) // what is left is removed by the next Open
}

// finish makes an image of layers that are there.
func (s *Store) finish(m *manifest) (*Handle, error) {
	r := record{Image: Image{Digest: m.digest.String()}, Diffs: m.config.RootFS.DiffIDs}
	dirs := make([]string, 0, len(r.Diffs))
	for _, diff := range r.Diffs {
		dirs = append(dirs, filepath.Join(s.layerPath(diff), rootName))
	}
	var err error
	if r.Config, err = boot(m.config, dirs); err != nil {
		return nil, err
	}
	data, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	return s.enter(r, data)
}

// enter makes a record an image that is held, or takes the one that another
// pull has made meanwhile.
func (s *Store) enter(r record, data []byte) (*Handle, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.images[r.Digest]
	if k == nil {
		if err := s.writeRecord(r.Digest, data); err != nil {
			return nil, err
		}
		k = s.keep(r, time.Now())
	}
	return s.hold(k), nil
}

// writeRecord makes a file that is whole, or not there.
func (s *Store) writeRecord(digest string, data []byte) error {
	temp, err := s.temp()
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp)
	name := filepath.Join(temp, imagesName)
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	return os.Rename(name, s.recordPath(digest))
}

// maxBoot bounds what each command of an image gets, in bytes.
const maxBoot = 64 << 10

func (b *Boot) length() int {
	n := len(b.WorkingDir)
	for _, list := range [][]string{b.Env, b.Entrypoint, b.Cmd, b.Exposed} {
		for _, s := range list {
			n += len(s)
		}
	}
	return n
}

// boot reads how an image wants to be run.
func boot(c *v1.ConfigFile, layers []string) (Boot, error) {
	b := Boot{Labels: c.Config.Labels, Entrypoint: c.Config.Entrypoint, Cmd: c.Config.Cmd}
	if c.Config.WorkingDir != "" {
		b.WorkingDir = path.Join("/", c.Config.WorkingDir)
	}
	for _, entry := range c.Config.Env {
		if strings.Index(entry, "=") > 0 {
			b.Env = append(b.Env, entry)
		}
	}
	for port := range c.Config.ExposedPorts {
		b.Exposed = append(b.Exposed, port)
	}
	slices.Sort(b.Exposed)
	if b.length() > maxBoot {
		return b, &problem{ErrTooLarge, "its environment and commands are too long"}
	}
	var err error
	b.User, err = ResolveUser(layers, c.Config.User)
	return b, err
}
