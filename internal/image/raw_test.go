package image

import (
	"bytes"
	"io"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/zstd"
)

// rawLayer is a layer that is packed as the test wants it.
type rawLayer struct{ data, plain []byte }

func hashOf(data []byte) (v1.Hash, error) {
	hash, _, err := v1.SHA256(bytes.NewReader(data))
	return hash, err
}

func (l *rawLayer) Digest() (v1.Hash, error)            { return hashOf(l.data) }
func (l *rawLayer) DiffID() (v1.Hash, error)            { return hashOf(l.plain) }
func (l *rawLayer) Size() (int64, error)                { return int64(len(l.data)), nil }
func (l *rawLayer) MediaType() (types.MediaType, error) { return types.DockerLayer, nil }
func (l *rawLayer) Compressed() (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(l.data)), nil
}

func (l *rawLayer) Uncompressed() (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(l.plain)), nil
}

func zstdOf(t *testing.T, data []byte) []byte {
	t.Helper()
	out, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	return out.EncodeAll(data, nil)
}
