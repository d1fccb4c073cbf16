package treecopy

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// under copies layers into one directory, the topmost first.
func under(t *testing.T, layers ...string) (string, Stats) {
	t.Helper()
	to, total := t.TempDir(), Stats{}
	for i, layer := range layers {
		in, err := os.Open(layer)
		if err != nil {
			t.Fatal(err)
		}
		out, err := os.Open(to)
		if err != nil {
			t.Fatal(err)
		}
		stats, err := Copy(t.Context(), out, in, Options{Whiteouts: true, Under: i > 0})
		in.Close()
		out.Close()
		if err != nil {
			t.Fatal(err)
		}
		total.Bytes += stats.Bytes
		total.Entries += stats.Entries
	}
	return to, total
}

func whiteout(t *testing.T, name string) {
	t.Helper()
	if err := unix.Mknod(name, unix.S_IFCHR, 0); err != nil {
		t.Skip("no whiteouts can be made here: ", err)
	}
}

func setOpaque(t *testing.T, dir string) {
	t.Helper()
	if err := unix.Setxattr(dir, opaque, []byte("y"), 0); err != nil {
		t.Skip("no attributes here: ", err)
	}
}

func isOpaque(t *testing.T, dir string) bool {
	t.Helper()
	buf := make([]byte, 8)
	n, err := unix.Getxattr(dir, opaque, buf)
	return err == nil && string(buf[:n]) == "y"
}

// TestUnder puts three layers into one: what is above hides, and is counted
// alone.
func TestUnder(t *testing.T) {
	t.Parallel()
	top := tree(t, "both", "merged/top", "opaque/new", "file")
	whiteout(t, filepath.Join(top, "gone"))
	whiteout(t, filepath.Join(top, "merged/gone"))
	setOpaque(t, filepath.Join(top, "opaque"))
	middle := tree(t, "both", "gone", "merged/middle", "merged/gone/x", "opaque/old", "file/x", "hidden/a")
	setOpaque(t, filepath.Join(middle, "hidden"))
	setOpaque(t, filepath.Join(middle, "merged"))
	if err := os.WriteFile(filepath.Join(middle, "both"), []byte("of the middle"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(top, "merged"), 0o711); err != nil {
		t.Fatal(err)
	}
	low := tree(t, "both", "merged/low", "opaque/low", "hidden/low", "low/x", "linked/a")
	if err := os.Link(filepath.Join(low, "linked/a"), filepath.Join(low, "linked/b")); err != nil {
		t.Fatal(err)
	}
	to, stats := under(t, top, middle, low)
	if got, want := list(t, to), "both file gone hidden/a linked/a linked/b low/x merged/gone merged/middle merged/top opaque/new"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if data, err := os.ReadFile(filepath.Join(to, "both")); err != nil || string(data) != "both" {
		t.Errorf("%q, %v", data, err)
	}
	for _, name := range []string{"merged", "opaque", "hidden"} {
		if !isOpaque(t, filepath.Join(to, name)) {
			t.Errorf("%s does not hide what is below", name)
		}
	}
	if isOpaque(t, filepath.Join(to, "low")) {
		t.Error("low hides what is below")
	}
	info, err := os.Stat(filepath.Join(to, "merged"))
	if err != nil || info.Mode().Perm() != 0o711 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if from, err := os.Stat(filepath.Join(top, "merged")); err != nil || !from.ModTime().Equal(info.ModTime()) {
		t.Errorf("merged is of %v, was of %v (%v)", info.ModTime(), from.ModTime(), err)
	}
	a, err1 := os.Stat(filepath.Join(to, "linked/a"))
	b, err2 := os.Stat(filepath.Join(to, "linked/b"))
	if err1 != nil || err2 != nil || !os.SameFile(a, b) {
		t.Errorf("linked/a and linked/b: %v, %v", err1, err2)
	}
	_, again, err := copied(t, t.Context(), to, Options{Whiteouts: true})
	if err != nil || again != stats {
		t.Errorf("counted %+v, and %+v as one tree (%v)", stats, again, err)
	}
}
