package imagetest

import (
	"bytes"
	"debug/elf"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// Programs are programs of this machine, in /bin, with all that they load.
func Programs(tb testing.TB, names ...string) []Entry {
	tb.Helper()
	files := map[string]string{}
	for _, name := range names {
		path, err := exec.LookPath(name)
		if err != nil {
			tb.Fatal(err)
		}
		collect(tb, files, path, "/bin/"+name)
	}
	var entries []Entry
	for name, data := range files {
		entries = append(entries, File(strings.TrimPrefix(name, "/"), data))
	}
	slices.SortFunc(entries, func(a, b Entry) int { return strings.Compare(a.Name, b.Name) })
	return entries
}

func collect(tb testing.TB, files map[string]string, path, as string) {
	tb.Helper()
	if files[as] != "" {
		return
	}
	data, err := os.ReadFile(path) //nolint:gosec // of the test
	if err != nil {
		tb.Fatal(err)
	}
	files[as] = string(data)
	program, err := elf.NewFile(bytes.NewReader(data))
	if err != nil {
		tb.Fatalf("%s: %v", path, err)
	}
	for _, p := range program.Progs {
		if p.Type == elf.PT_INTERP {
			name, err := io.ReadAll(p.Open()) //nolint:forbidigo // a name
			if err != nil {
				tb.Fatal(err)
			}
			loader := strings.TrimRight(string(name), "\x00")
			collect(tb, files, loader, loader)
		}
	}
	needed, err := program.ImportedLibraries()
	if err != nil {
		tb.Fatal(err)
	}
	for _, library := range needed {
		if found := locate(library); found != "" {
			collect(tb, files, found, found)
		}
	}
}

// locate finds a library where systems have them.
func locate(library string) string {
	triplet := map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[runtime.GOARCH] + "-linux-gnu"
	for _, dir := range []string{"/lib", "/lib64", "/usr/lib", "/usr/lib64", "/lib/" + triplet, "/usr/lib/" + triplet} {
		name := filepath.Join(dir, library)
		if _, err := os.Stat(name); err == nil { //nolint:gosec // of the test
			return name
		}
	}
	return ""
}
