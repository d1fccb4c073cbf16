package treecopy

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func TestAttributes(t *testing.T) {
	t.Parallel()
	src := tree(t, "dir/x", "file")
	for name, value := range map[string]string{"user.note": "kept", opaque: "y", overlayPrefix + "origin": "elsewhere"} {
		for _, file := range []string{"dir", "file"} {
			if err := unix.Setxattr(filepath.Join(src, file), name, []byte(value), 0); errors.Is(err, unix.ENOTSUP) {
				t.Skip("no attributes here")
			} else if err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, whiteouts := range []bool{true, false} {
		to, _, err := copied(t, t.Context(), src, Options{Whiteouts: whiteouts})
		if err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]bool{"user.note": true, opaque: whiteouts, overlayPrefix + "origin": false} {
			for _, file := range []string{"dir", "file"} {
				n, err := unix.Getxattr(filepath.Join(to, file), name, make([]byte, 100))
				if got := err == nil && n > 0; got != want {
					t.Errorf("%s of %s: %v, want %v", name, file, got, want)
				}
			}
		}
	}
}

// TestHoles keeps holes, at each end of the data and around it.
func TestHoles(t *testing.T) {
	t.Parallel()
	src := t.TempDir()
	for name, at := range map[string]int64{"begin": 0, "middle": 64 << 20, "end": 128<<20 - 3} {
		file, err := os.Create(filepath.Join(src, name))
		if err != nil {
			t.Fatal(err)
		}
		_, err = file.WriteAt([]byte("abc"), at)
		if err := errors.Join(err, file.Truncate(128<<20), file.Close()); err != nil {
			t.Fatal(err)
		}
	}
	to, stats, err := copied(t, t.Context(), src, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if stats.Bytes > 1<<20 {
		t.Errorf("%+v", stats)
	}
	for name, at := range map[string]int64{"begin": 0, "middle": 64 << 20, "end": 128<<20 - 3} {
		file, err := os.Open(filepath.Join(to, name))
		if err != nil {
			t.Fatal(err)
		}
		var st unix.Stat_t
		got := make([]byte, 3)
		_, err = file.ReadAt(got, at)
		if err := errors.Join(err, unix.Fstat(int(file.Fd()), &st), file.Close()); err != nil {
			t.Fatal(err)
		}
		if string(got) != "abc" || st.Size != 128<<20 || st.Blocks*512 > 1<<20 {
			t.Errorf("%s: %q, size %d, %d blocks", name, got, st.Size, st.Blocks)
		}
	}
}

// TestRemovedDirectory: the kernel has no names of a directory that was removed
// after it was opened, and says so by an error.
func TestRemovedDirectory(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "dir")
	if err := os.Mkdir(name, 0o700); err != nil {
		t.Fatal(err)
	}
	dir, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	if names, err := readNames(int(dir.Fd())); len(names) != 0 || err != nil {
		t.Errorf("%q, %v", names, err)
	}
}
