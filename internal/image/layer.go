package image

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/klauspost/compress/zstd"
)

// download is a layer that is wanted: how it is named, and its stream.
type download struct {
	blob v1.Descriptor
	diff v1.Hash
	open func(ctx context.Context) (io.ReadCloser, error)
	// done is told how many bytes have come.
	done func(int)
	left *budget
}

// note is what is kept of a layer, next to its files.
type note struct {
	Size   int64 `json:"size"`
	Opaque bool  `json:"opaque,omitempty"` // it shows nothing of those below
}

const (
	rootName = "root"
	noteName = "layer.json"

	// ownedName is the list of files to give away, while there is one.
	ownedName = "owned.json"
)

// maxOverhead is what a stream may have beyond its files: headers, padding.
const maxOverhead = 4 << 30

// fetch unpacks a layer into a new directory, which is whole and verified, or
// an error. The size of the note is what was taken from the budgets, also then.
func (d *download) fetch(ctx context.Context, dir string, cfg Config, room *budget) (n note, err error) {
	root := filepath.Join(dir, rootName)
	if err := os.MkdirAll(root, 0o700); err != nil {
		return n, err
	}
	stream, err := d.open(ctx)
	if err != nil {
		return n, err
	}
	defer stream.Close()
	sent := &measured{from: stream, hash: sha256.New(), left: d.blob.Size, over: ErrInvalidImage, done: d.done}
	raw := bufio.NewReaderSize(sent, 64<<10)
	plain, closePlain, err := decompress(raw)
	if err != nil {
		return n, err
	}
	defer closePlain()
	tarred := &measured{from: plain, hash: sha256.New(), left: cfg.Limits.Bytes + maxOverhead, over: ErrTooLarge}
	var owned *ownedList
	if cfg.Owner.SubUID > 0 {
		if owned, err = newOwnedList(filepath.Join(dir, ownedName)); err != nil {
			return n, err
		}
		defer func() { err = errors.Join(err, owned.close()) }()
	}
	if n.Size, err = unpack(ctx, root, tarred, cfg.Owner, owned, cfg.Limits, d.left, room); err != nil {
		return n, err
	}
	// What follows the last entry counts for the digests, too.
	for _, rest := range []io.Reader{tarred, raw} {
		if _, err := io.Copy(io.Discard, rest); err != nil {
			return n, err
		}
	}
	if sent.left != 0 || !sent.is(d.blob.Digest) {
		return n, &problem{ErrInvalidImage, fmt.Sprintf("layer %s: what was sent has another digest", d.blob.Digest)}
	}
	if !tarred.is(d.diff) {
		return n, &problem{ErrInvalidImage, fmt.Sprintf("layer %s: its contents have another digest", d.blob.Digest)}
	}
	if n.Opaque, err = opaqueDir(root); err != nil {
		return n, err
	}
	if owned != nil {
		if err := owned.give(ctx, root, cfg.Own); err != nil {
			return n, err
		}
	}
	return n, n.write(dir)
}

func opaqueDir(name string) (bool, error) {
	dir, err := os.Open(name)
	if err != nil {
		return false, err
	}
	defer dir.Close()
	return isOpaque(dir), nil
}

func (n note) write(dir string) error {
	data, err := json.Marshal(n)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, noteName), data, 0o600); err != nil {
		return err
	}
	return syncTree(dir)
}

func readNote(dir string) (n note, err error) {
	data, err := os.ReadFile(filepath.Join(dir, noteName))
	if err != nil {
		return n, err
	}
	return n, json.Unmarshal(data, &n)
}

// measured hashes what is read, and bounds it.
type measured struct {
	from io.Reader
	hash hash.Hash
	left int64
	over error     // the kind of a stream that is longer
	done func(int) // or nil
}

func (m *measured) Read(p []byte) (int, error) {
	n, err := m.from.Read(p)
	m.hash.Write(p[:n])
	if m.left -= int64(n); m.left < 0 {
		return 0, &problem{m.over, "a layer is longer than it may be"}
	}
	if m.done != nil && n > 0 {
		m.done(n)
	}
	return n, err
}

func (m *measured) is(want v1.Hash) bool {
	return hex.EncodeToString(m.hash.Sum(nil)) == want.Hex
}

// maxWindow bounds the memory that a stream can ask for.
const maxWindow = 64 << 20

// decompress finds out how a layer is packed: what its type says is not always
// true.
func decompress(in *bufio.Reader) (io.Reader, func(), error) {
	magic, err := in.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, nil, err
	}
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		out, err := gzip.NewReader(in)
		return out, func() {}, err
	case bytes.HasPrefix(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		out, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, nil, err
		}
		return out, out.Close, nil
	}
	return in, func() {}, nil
}
