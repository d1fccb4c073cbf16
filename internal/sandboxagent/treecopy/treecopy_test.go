//go:build unix

package treecopy

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// copied copies a tree and returns where to.
func copied(t *testing.T, ctx context.Context, src string, o Options) (string, Stats, error) { //nolint:revive // t first
	t.Helper()
	to := t.TempDir()
	in, err := os.Open(src)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.Open(to)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	stats, err := Copy(ctx, out, in, o)
	return to, stats, err
}

// tree makes files; those that end with a slash are directories.
func tree(t *testing.T, names ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range names {
		full := filepath.Join(dir, name)
		err := os.MkdirAll(filepath.Dir(full), 0o755)
		if strings.HasSuffix(name, "/") {
			err = errors.Join(err, os.MkdirAll(full, 0o755))
		} else {
			err = errors.Join(err, os.WriteFile(full, []byte(name), 0o644))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func list(t *testing.T, dir string) string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(dir, func(name string, entry os.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			names = append(names, strings.TrimPrefix(name, dir+"/"))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(names, " ")
}

// hook is a context that does something each time it is looked at, which is
// before each name.
type hook struct {
	context.Context
	look func()
}

func (h hook) Err() error {
	h.look()
	return h.Context.Err()
}

func TestSkip(t *testing.T) {
	t.Parallel()
	src := tree(t, "a/b/c", "a/b/d", "a/x", "b/c", "skip/y", "z")
	to, stats, err := copied(t, t.Context(), src, Options{Skip: []string{"a/b/c", "skip", "none"}})
	if err != nil {
		t.Fatal(err)
	}
	if got := list(t, to); got != "a/b/d a/x b/c z" {
		t.Errorf("%q", got)
	}
	// Four files of a block, and four directories.
	if want := (Stats{Bytes: 8 * (blockSize + inodeSize), Entries: 7}); stats != want {
		t.Errorf("%+v, want %+v", stats, want)
	}
}

func TestLimit(t *testing.T) {
	t.Parallel()
	src := tree(t, "a", "b", "c/")
	const size = 4 * (blockSize + inodeSize)
	if _, stats, err := copied(t, t.Context(), src, Options{Limit: size}); err != nil || stats.Bytes != size {
		t.Errorf("%+v, %v", stats, err)
	}
	if _, _, err := copied(t, t.Context(), src, Options{Limit: size - 1}); !errors.Is(err, ErrTooLarge) {
		t.Error(err)
	}
}

// TestMoved moves the directory that is being read to another place: what was
// read of it is there, and the copy goes on where the directory was.
func TestMoved(t *testing.T) {
	t.Parallel()
	for name, move := range map[string]func(dir string) error{
		"elsewhere":    func(dir string) error { return os.Rename(dir+"/a/b/c", dir+"/other/c") },
		"with parents": func(dir string) error { return os.Rename(dir+"/a", dir+"/other/a") },
		"up":           func(dir string) error { return os.Rename(dir+"/a/b/c", dir+"/c") },
		"out": func(dir string) error {
			return os.Rename(dir+"/a/b/c", filepath.Join(filepath.Dir(dir), filepath.Base(dir)+"-outside"))
		},
		"replaced": func(dir string) error {
			return errors.Join(os.Rename(dir+"/a/b/c", dir+"/other/c"), os.Symlink("/", dir+"/a/b/c"))
		},
		"removed": func(dir string) error { return os.RemoveAll(dir + "/a/b") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			src := tree(t, "a/b/c/1", "a/b/c/2", "a/b/c/3", "a/b/x", "a/y", "other/o", "z")
			if err := os.Chmod(src, 0o711); err != nil {
				t.Fatal(err)
			}
			inside := -1 // names since the copy is in the directory
			var to string
			ctx := hook{t.Context(), func() {
				if _, err := os.Lstat(filepath.Join(to, "a/b/c")); to != "" && err == nil {
					inside++
				}
				if inside == 1 {
					inside++
					if err := move(src); err != nil {
						t.Error(err)
					}
				}
			}}
			to = t.TempDir()
			in, err1 := os.Open(src)
			out, err2 := os.Open(to)
			if err := errors.Join(err1, err2); err != nil {
				t.Fatal(err)
			}
			defer in.Close()
			defer out.Close()
			if _, err := Copy(ctx, out, in, Options{}); err != nil {
				t.Fatal(err)
			}
			if inside < 2 {
				t.Fatal("nothing was moved")
			}
			got := list(t, to)
			if !strings.Contains(" "+got, " z") || !strings.Contains(got, "other/o") || strings.Contains(got, "etc") {
				t.Errorf("%q", got)
			}
			if info, err := os.Stat(to); err != nil || info.Mode().Perm() != 0o711 {
				t.Errorf("the root is %v, %v", info.Mode(), err)
			}
		})
	}
}

// TestSpecial has what is neither a file nor a directory.
func TestSpecial(t *testing.T) {
	src := tree(t, "a", "long/")
	for _, err := range []error{
		unix.Mkfifo(filepath.Join(src, "pipe"), 0o640),
		os.Link(filepath.Join(src, "a"), filepath.Join(src, "z")),
		os.Symlink(strings.Repeat("x", 1000), filepath.Join(src, "link")),
		os.Symlink("a", filepath.Join(src, "long", strings.Repeat("n", 255))),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	t.Chdir(src)
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: "socket"}); err != nil {
		t.Fatal(err)
	}
	to, _, err := copied(t, t.Context(), src, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(filepath.Join(to, "socket")); !errors.Is(err, os.ErrNotExist) {
		t.Error("the socket was copied")
	}
	one, err1 := os.Stat(filepath.Join(to, "a"))
	two, err2 := os.Stat(filepath.Join(to, "z"))
	if err := errors.Join(err1, err2); err != nil || !os.SameFile(one, two) {
		t.Errorf("the names of a file are two files: %v", err)
	}
	if target, err := os.Readlink(filepath.Join(to, "link")); err != nil || len(target) != 1000 {
		t.Errorf("%q, %v", target, err)
	}
}
