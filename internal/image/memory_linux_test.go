package image

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
)

// endless reads items as a layer that nobody ever has as a whole.
func endless(t *testing.T, next func() (item, bool), end func()) io.Reader {
	t.Helper()
	var rest []byte
	return reader(func(p []byte) (int, error) {
		if len(rest) == 0 {
			i, ok := next()
			if !ok {
				end()
				return 0, io.EOF
			}
			rest = tarOf(t, i)
			rest = rest[:len(rest)-1024] // without the end of the archive
		}
		n := copy(p, rest)
		rest = rest[n:]
		return n, nil
	})
}

type reader func([]byte) (int, error)

func (r reader) Read(p []byte) (int, error) { return r(p) }

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestNothingIsKept: the memory that a layer takes does not grow with what its
// headers have in them.
func TestNothingIsKept(t *testing.T) { //nolint:paralleltest // it measures the heap
	note := strings.Repeat("x", 512<<10)
	before, after, n := heap(), uint64(0), 0
	layer := endless(t, func() (item, bool) {
		n++
		return item{name: fmt.Sprintf("d%d", n), kind: tar.TypeDir, mode: 0o755, pax: map[string]string{"comment": note}}, n <= 100
	}, func() { after = heap() })
	limits := Limits{Bytes: 1 << 30, Entries: 1000, PathLength: 4000}
	if _, err := unpack(t.Context(), t.TempDir(), layer, owners(t)["single"], nil, limits, newBudget(limits.Bytes)); err != nil {
		t.Fatal(err)
	}
	if grown := int64(after) - int64(before); grown > 25<<20 {
		t.Errorf("%d MiB are kept of 50 MiB of headers", grown>>20)
	}
}

// TestLongNames: the names of directories, which are kept until all is there,
// are bounded together.
func TestLongNames(t *testing.T) {
	t.Parallel()
	u := &unpacker{dirs: map[string]*directory{}}
	name := strings.Repeat("d", 4000)
	u.names = maxDirNames - len(name)
	for range 2 { // once known, it costs no more
		if _, err := u.know(name); err != nil {
			t.Error(err)
		}
	}
	if _, err := u.know("one more"); !errors.Is(err, ErrTooLarge) {
		t.Error(err)
	}
}

// TestAttributesCount: extended attributes take room, too.
func TestAttributesCount(t *testing.T) {
	t.Parallel()
	pax := map[string]string{}
	for i := range 10 {
		pax[fmt.Sprintf("%suser.a%d", xattrPrefix, i)] = strings.Repeat("x", 60_000)
	}
	for _, i := range []item{{name: "f", pax: pax}, {name: "d", kind: tar.TypeDir, pax: pax}, {name: ".", kind: tar.TypeDir, pax: pax}} {
		if _, err := unpackTest(t, owners(t)["single"], tarOf(t, i, i)); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: %v", i.name, err)
		}
	}
}
