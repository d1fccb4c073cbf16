//go:build unix

package proctree

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestLookPath(t *testing.T) {
	dir := t.TempDir()
	for name, mode := range map[string]fs.FileMode{"bin/tool": 0o755, "bin/data": 0o644, "other/data": 0o755, "here": 0o755} {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, nil, mode); err != nil {
			t.Fatal(err)
		}
	}
	bin, other := filepath.Join(dir, "bin"), filepath.Join(dir, "other")
	tests := []struct {
		name, path string
		want       string
		err        error
	}{
		{"tool", bin, bin + "/tool", nil},
		{"tool", "/no:" + bin, bin + "/tool", nil},
		{"tool", "bin", bin + "/tool", nil},
		{"here", "", dir + "/here", nil},
		{"./here", bin, "./here", nil},
		{dir + "/here", bin, dir + "/here", nil},
		{"data", bin, "", syscall.EACCES},
		{"data", bin + ":" + other, other + "/data", nil},
		{"none", bin, "", syscall.ENOENT},
		{"none", dir + "/here", "", syscall.ENOENT},
		{"bin", dir, "", syscall.EACCES},
		{"", bin, "", syscall.ENOENT},
		{"./bin/data", bin, "", syscall.EACCES},
		{"/no/none", bin, "", syscall.ENOENT},
	}
	for _, test := range tests {
		got, err := LookPath(test.name, dir, []string{"PATH=/wrong", "PATH=" + test.path})
		if err == nil && got != test.want || !errors.Is(err, test.err) {
			t.Errorf("%q in %q: %q, %v", test.name, test.path, got, err)
		}
	}
}

func TestCheckDir(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]error{dir: nil, file: syscall.ENOTDIR, dir + "/no": syscall.ENOENT} {
		if err := CheckDir(name); !errors.Is(err, want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
