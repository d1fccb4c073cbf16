package sandboxclient

import (
	"archive/tar"
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// archive packs entries as a sandbox could: lines of a kind, a name and, of
// links, a target.
func archive(tb testing.TB, script string) []byte {
	tb.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for line := range strings.SplitSeq(script, "\n") {
		kind, rest, _ := strings.Cut(line, " ")
		name, target, _ := strings.Cut(rest, " ")
		h := &tar.Header{Name: name, Mode: 0o755, Format: tar.FormatGNU}
		switch kind {
		case "dir":
			h.Typeflag = tar.TypeDir
		case "link":
			h.Typeflag, h.Linkname = tar.TypeSymlink, target
		case "same":
			h.Typeflag, h.Linkname = tar.TypeLink, target
		case "pipe":
			h.Typeflag = tar.TypeFifo
		case "closed":
			h.Typeflag, h.Mode = tar.TypeDir, 0
		default:
			h.Typeflag, h.Size, h.Mode = tar.TypeReg, 4, 0o6755
		}
		if err := w.WriteHeader(h); err != nil {
			continue // no tar has such an entry
		}
		if h.Typeflag == tar.TypeReg {
			_, _ = w.Write([]byte("evil"))
		}
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

// unpack unpacks an archive next to what it must not touch, and looks whether
// it did, and whether any link leads out.
func unpack(tb testing.TB, data []byte, before func(dir string)) (dir string, err error) {
	tb.Helper()
	top, err := filepath.EvalSymlinks(tb.TempDir())
	if err != nil {
		tb.Fatal(err)
	}
	outside := filepath.Join(top, "outside")
	dir = filepath.Join(top, "in", "tree")
	if err := errors.Join(os.MkdirAll(dir, 0o700), os.Mkdir(outside, 0o700), os.WriteFile(filepath.Join(outside, "f"), []byte("good"), 0o600)); err != nil {
		tb.Fatal(err)
	}
	if before != nil {
		before(dir)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		tb.Fatal(err)
	}
	defer root.Close()
	r := &treeReader{root: root, meter: &meter{}, dirs: map[string]*tar.Header{}, used: map[string]bool{}}
	err = errors.Join(r.tree(tar.NewReader(bytes.NewReader(data))), r.finish())
	_ = filepath.WalkDir(dir, func(name string, d fs.DirEntry, _ error) error {
		if d != nil && d.IsDir() {
			_ = os.Chmod(name, 0o700) // to see what is in it
		}
		return nil
	})
	if got, err := os.ReadFile(filepath.Join(outside, "f")); string(got) != "good" {
		tb.Errorf("outside is %q, %v", got, err)
	}
	for _, place := range []string{top, filepath.Join(top, "in"), outside} {
		entries, err := os.ReadDir(place)
		if want := map[string]int{top: 2, filepath.Join(top, "in"): 1, outside: 1}[place]; len(entries) != want || err != nil {
			tb.Errorf("%s has %v, %v", place, entries, err)
		}
	}
	if before != nil {
		return dir, err
	}
	_ = filepath.WalkDir(dir, func(name string, _ fs.DirEntry, _ error) error {
		real, err := filepath.EvalSymlinks(name)
		if err == nil && real != dir && !strings.HasPrefix(real, dir+"/") {
			tb.Errorf("%s leads to %s", name, real)
		}
		if info, err := os.Lstat(name); err == nil && info.Mode()&(fs.ModeSetuid|fs.ModeSetgid|fs.ModeNamedPipe) != 0 {
			tb.Errorf("%s is %v", name, info.Mode())
		}
		return nil
	})
	return dir, err
}

var hostile = map[string]struct {
	script string
	left   string // what the tree is in the end
	unsafe bool
}{
	"harmless":                  {"dir ./a/\nfile ./a/b\nlink ./a/l b\nlink ./up a/b\nsame ./again a/b", "a a/b a/l again up", false},
	"an absolute name":          {"file /etc/passwd\nfile ok", "ok", true},
	"a name that leads out":     {"file ../x\nfile a/../../x\nfile a/../b\nfile ..", "", true},
	"no name":                   {"file  x", "", true},
	"a name without an end":     {"file " + strings.Repeat("d/", 300) + "x\nfile ok", "ok", true},
	"an absolute link":          {"link l /etc/passwd\nlink m /", "", true},
	"a link that leads out":     {"link l ../outside/f\nlink m a/../../outside\nlink n ..\ndir d\nlink d/o ../..\nlink d/up ..", "d d/up", true},
	"a link with a detour":      {"link s .\nlink l s/../x\nlink s2 ./.\nlink m s2/..", "s s2", true},
	"through a link":            {"link l .\nfile l/x\ndir l/d\nlink l/o ../x", "l", true},
	"a link replaced":           {"link l ok\nfile l\nfile ok", "l ok", false},
	"a directory replaced":      {"dir d\nfile d/x\nlink d .\nfile d", "d d/x", true},
	"another name of something": {"same a ../../outside/f\nsame b /etc/passwd\nsame c none\nlink l ok\nfile ok\nsame m l", "l ok", true},
	"special files":             {"pipe p\nfile ok", "ok", true},
	"no permissions":            {"closed d\nfile d/x\nfile d/y", "d d/x d/y", false},
	"twice":                     {"file a\nfile a\ndir d\ndir d", "a d", false},
	"the root itself":           {"closed ./\nfile a", "a", false},
	"parents that are missing":  {"file a/b/c", "a a/b a/b/c", false},
}

func TestHostileTrees(t *testing.T) {
	t.Parallel()
	for name, tt := range hostile {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, err := unpack(t, archive(t, tt.script), nil)
			if errors.Is(err, ErrUnsafe) != tt.unsafe || err != nil && !tt.unsafe {
				t.Errorf("error %v", err)
			}
			var left []string
			_ = filepath.WalkDir(dir, func(name string, _ fs.DirEntry, err error) error {
				if rel, _ := filepath.Rel(dir, name); rel != "." {
					left = append(left, filepath.ToSlash(rel))
				}
				return err
			})
			if got := strings.Join(left, " "); got != tt.left {
				t.Errorf("the tree is %q, want %q", got, tt.left)
			}
		})
	}
}

// TestLinksThatWereThere: nothing is written through links that the caller has.
func TestLinksThatWereThere(t *testing.T) {
	t.Parallel()
	dir, err := unpack(t, archive(t, "file l\nfile d/x\ndir e\nfile h"), func(dir string) {
		for name, target := range map[string]string{"l": "../../outside/f", "d": "../../outside", "e": "../../outside"} {
			if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Link(filepath.Join(dir, "../../outside/f"), filepath.Join(dir, "h")); err != nil {
			t.Fatal(err)
		}
	})
	if !errors.Is(err, ErrUnsafe) {
		t.Errorf("error %v", err)
	}
	for _, name := range []string{"l", "h"} {
		if info, err := os.Lstat(filepath.Join(dir, name)); err != nil || !info.Mode().IsRegular() || info.Size() != 4 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
}

// TestSparseFiles: a few bytes do not become many.
// TestLeftOutStays: what is left out replaces nothing.
func TestLeftOutStays(t *testing.T) {
	t.Parallel()
	data := archive(t, "link a /etc/passwd\npipe b\nsame c nothing\nsame d d\nlink e \nfile f")
	dir, err := unpack(t, data, func(dir string) {
		for _, name := range []string{"a", "b", "c", "d", "e", "f"} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte("mine"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	})
	if !errors.Is(err, ErrUnsafe) {
		t.Error(err)
	}
	for name, want := range map[string]string{"a": "mine", "b": "mine", "c": "mine", "d": "mine", "e": "mine", "f": "evil"} {
		if got, err := os.ReadFile(filepath.Join(dir, name)); string(got) != want || err != nil {
			t.Errorf("%s is %q, %v; want %q", name, got, err, want)
		}
	}
}

func TestSparseFiles(t *testing.T) {
	t.Parallel()
	if !sparse(&tar.Header{PAXRecords: map[string]string{"GNU.sparse.realsize": "1099511627776"}}) || sparse(&tar.Header{PAXRecords: map[string]string{"mtime": "1"}}) {
		t.Error("sparse files are not told from others")
	}
}

// TestManyLeftOut: the error stays short.
func TestManyLeftOut(t *testing.T) {
	t.Parallel()
	_, err := unpack(t, archive(t, strings.Repeat("pipe p\n", 1000)+"file ok"), nil)
	if lines := strings.Count(err.Error(), "\n"); lines != maxLeft || !strings.Contains(err.Error(), "and 980 more") {
		t.Errorf("%d lines: %v", lines, err)
	}
}

// FuzzTree: no sequence of entries gets out of the tree.
func FuzzTree(f *testing.F) {
	for _, tt := range hostile {
		f.Add(tt.script)
	}
	f.Fuzz(func(t *testing.T, script string) {
		if len(script) > 500 {
			return
		}
		_, _ = unpack(t, archive(t, script), nil)
	})
}

// FuzzArchive: no bytes do.
func FuzzArchive(f *testing.F) {
	for _, tt := range hostile {
		f.Add(archive(f, tt.script))
	}
	f.Fuzz(func(t *testing.T, data []byte) { _, _ = unpack(t, data, nil) })
}
