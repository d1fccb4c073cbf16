package treecopy

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// deep makes a tree in which each directory has the next one, and a file with
// two names; returned are the names of a directory and of a file.
func deep(t *testing.T, dir string, levels int) (name, file string) {
	t.Helper()
	name, file = strings.Repeat("d", 250), "file"
	at, err := unix.Open(dir, openDir, 0)
	if err != nil {
		t.Fatal(err)
	}
	for i := range levels {
		fd, err := unix.Openat(at, file, unix.O_CREAT|unix.O_WRONLY|unix.O_CLOEXEC, 0o644)
		if err != nil {
			t.Fatal(err)
		}
		link := unix.Linkat(at, file, at, fmt.Sprintf("%s%d", file, i), 0)
		err = errors.Join(unix.Close(fd), link, unix.Mkdirat(at, name, 0o755))
		if err != nil {
			t.Fatal(err)
		}
		next, err := unix.Openat(at, name, openDir, 0)
		if err := errors.Join(err, unix.Close(at)); err != nil {
			t.Fatal(err)
		}
		at = next
	}
	unix.Close(at)
	return name, file
}

// TestDeepLinks copies files with two names in a deep tree: their paths, which
// are longer than a path may be, are not kept. Those of shorter ones lead to
// the first copy.
func TestDeepLinks(t *testing.T) {
	src := t.TempDir()
	const levels = 400
	name, file := deep(t, src, levels)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	to, stats, err := copied(t, t.Context(), src, Options{})
	runtime.ReadMemStats(&after)
	if err != nil {
		t.Fatal(err)
	}
	if stats.Entries != 3*levels {
		t.Errorf("%+v", stats)
	}
	if took := after.TotalAlloc - before.TotalAlloc; took > 20<<20 {
		t.Errorf("took %d bytes of memory", took)
	}
	for depth := range 3 {
		dir := to + strings.Repeat("/"+name, depth) + "/"
		one, err1 := os.Stat(dir + file)
		two, err2 := os.Stat(dir + fmt.Sprintf("%s%d", file, depth))
		if err := errors.Join(err1, err2); err != nil || !os.SameFile(one, two) {
			t.Errorf("at %d: the names of a file are two files: %v", depth, err)
		}
	}
}
