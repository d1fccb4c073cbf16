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
		total.Add(stats, 0)
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
	if measured, err := measure(t, top, middle, low); err != nil || measured != stats {
		t.Errorf("copied %+v, measured %+v (%v)", stats, measured, err)
	}
	_, again, err := copied(t, t.Context(), to, Options{Whiteouts: true})
	if err != nil || again != stats {
		t.Errorf("counted %+v, and %+v as one tree (%v)", stats, again, err)
	}
}

func measure(t *testing.T, layers ...string) (Stats, error) {
	t.Helper()
	var files []*os.File
	for _, layer := range layers {
		file, err := os.Open(layer)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		files = append(files, file)
	}
	return Measure(t.Context(), files, 0)
}

// FuzzLayers holds what is measured of layers to what they are as one tree.
func FuzzLayers(f *testing.F) {
	f.Add([]byte("\x00\x11\x22\x33"), []byte("\x44\x55"), []byte("\x60\x71\x12"))
	f.Add([]byte("aAbBcC"), []byte("\x05\x15\x25\x35"), []byte("\xff\x80\x9a"))
	f.Fuzz(func(t *testing.T, top, middle, low []byte) {
		var layers []string
		for _, seed := range [][]byte{top, middle, low} {
			layers = append(layers, randomLayer(t, seed[:min(len(seed), 64)]))
		}
		to, stats := under(t, layers...)
		measured, err := measure(t, layers...)
		if err != nil || measured != stats {
			t.Errorf("copied %+v, measured %+v (%v)", stats, measured, err)
		}
		if _, again, err := copied(t, t.Context(), to, Options{Whiteouts: true}); err != nil || again != stats {
			t.Errorf("copied %+v, and %+v as one tree (%v)", stats, again, err)
		}
	})
}

// randomLayer makes files of few names, so that they meet those of others.
func randomLayer(t *testing.T, seed []byte) string {
	t.Helper()
	dir := t.TempDir()
	at := dir
	for _, b := range seed {
		name := filepath.Join(at, string('a'+rune(b>>4&3)))
		switch b & 7 {
		case 0, 1:
			_ = os.WriteFile(name, make([]byte, int(b)*100), 0o600)
		case 2:
			_ = unix.Mknod(name, unix.S_IFCHR, 0)
		case 3:
			_ = os.Symlink("x", name)
		case 4:
			_ = os.Link(name, filepath.Join(at, "d"))
		case 5:
			if os.Mkdir(name, 0o755) == nil && b&8 != 0 {
				_ = unix.Setxattr(name, opaque, []byte(opaqueValue), 0)
			}
		case 6:
			if info, err := os.Lstat(name); err == nil && info.IsDir() {
				at = name
			}
		case 7:
			at = dir
		}
	}
	return dir
}
