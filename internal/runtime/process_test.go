//go:build unix

package runtime

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func startProcess(t *testing.T) Runtime {
	t.Helper()
	return mode{"process", newProcess}.start(t)
}

func TestProcessPaths(t *testing.T) {
	rt := startProcess(t)
	volume, host := t.TempDir(), t.TempDir()
	box := create(t, rt, Spec{Mounts: []Mount{{Source: volume, Target: "/data"}}})
	dir := strings.TrimSuffix(box.Home(), processHome)
	tests := []struct{ name, dir, want string }{
		{"home", "", box.Home()},
		{"own", "/app", dir + "/app"},
		{"full", dir + "/app", dir + "/app"},
		{"host", host, host},
		{"mount", "/data", volume},
	}
	for _, test := range tests {
		j := start(t, box, Command{Args: []string{"/bin/pwd", "-P"}, Dir: test.dir})
		want, err := filepath.EvalSymlinks(test.want)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.TrimSpace(j.readAll(t)); got != want {
			t.Errorf("%s: %q, want %q", test.name, got, want)
		}
	}
	for _, name := range []string{"/app/x", dir + "/app/x", "../../app/x"} {
		mustWrite(t, box, name, name)
		if data, err := os.ReadFile(filepath.Join(dir, "app/x")); err != nil || string(data) != name {
			t.Errorf("%s: %q, %v", name, data, err)
		}
	}
	if rt.Isolation() != IsolationProcess {
		t.Error(rt.Isolation())
	}
}

// TestProcessEscapes has links lead out of the directory.
func TestProcessEscapes(t *testing.T) {
	rt := startProcess(t)
	volume, host := t.TempDir(), t.TempDir()
	secret := filepath.Join(host, "secret")
	if err := os.WriteFile(secret, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	box := create(t, rt, Spec{Mounts: []Mount{{Source: volume, Target: "/data"}}})
	run(t, box, "ln -s "+secret+" file; ln -s "+host+" dir; ln -s "+secret+" "+volume+"/file")
	for _, name := range []string{"file", "dir/secret", "/data/file", "/data/../../../../" + secret} {
		if file, err := box.OpenFile(t.Context(), name, os.O_RDONLY, 0); err == nil {
			t.Errorf("opened %s", name)
			file.Close()
		}
	}
}

// TestProcessLeftovers closes a sandbox whose commands have all ended.
func TestProcessLeftovers(t *testing.T) {
	rt := startProcess(t)
	box := create(t, rt, Spec{})
	j := start(t, box, shell("sleep 1000 & echo started"))
	j.readLine(t)
	j.waitEnd(t)
	if err := box.Close(); err != nil {
		t.Fatal(err)
	}
	j.readAll(t)
}

func TestProcessHasNoReadOnlyMounts(t *testing.T) {
	rt := startProcess(t)
	spec := Spec{ID: "box", Mounts: []Mount{{Source: t.TempDir(), Target: "/data", ReadOnly: true}}}
	if _, err := rt.Create(t.Context(), spec); !errors.Is(err, ErrUnsupported) {
		t.Errorf("got %v", err)
	}
}
