package runtime

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func ociMode() mode { return modeOf("oci") }

// fakeOCI writes a program that prints something, and fails at all else.
func fakeOCI(t *testing.T, version string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "runsc")
	text := "#!/bin/sh\n[ \"$1\" = --version ] && echo '" + version + "' && exit\necho cannot do that >&2\nexit 1\n"
	if err := os.WriteFile(name, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	return name
}

// TestOCIRefuses: only a program of which it is known what its containers are is
// used, whatever it is called, and nothing stands in for it.
func TestOCIRefuses(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ oci, want string }{
		"missing": {filepath.Join(t.TempDir(), "runsc"), "no such file"},
		"another": {fakeOCI(t, "youki version 0.5"), "it is none of them"},
		"silent":  {fakeOCI(t, ""), "it is none of them"},
		"broken":  {fakeOCI(t, "runsc version 1"), "create sandbox probe"},
		"crun":    {fakeOCI(t, "crun version 1"), "cannot do that"},
		"runc":    {fakeOCI(t, "runc version 1"), "cannot do that"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "boxes")
			_, err := New(Config{Dir: dir, OCI: test.oci, Minimum: IsolationProcess})
			if !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), test.want) {
				t.Error(err)
			}
			if _, err := os.Lstat(dir); err == nil {
				t.Errorf("left: %q", entries(t, dir))
			}
		})
	}
}

// TestOCIKernel holds what is said of attacks that succeed: they see and reach
// a kernel that is not this machine's.
func TestOCIKernel(t *testing.T) {
	box := create(t, ociMode().start(t), Spec{})
	for _, name := range []string{"/proc/cmdline", "/proc/version"} {
		own, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if got := run(t, box, "cat "+name); got == strings.TrimSpace(string(own)) {
			t.Errorf("%s is this machine's: %s", name, got)
		}
	}
	if got := run(t, box, "find /sys/fs/cgroup | wc -l"); got != "1" {
		t.Errorf("%s files of cgroups", got)
	}
}

// TestOCIReadOnly: the root of namespaces made inside cannot make writable what
// is not.
func TestOCIReadOnly(t *testing.T) {
	dir := t.TempDir()
	box := create(t, ociMode().start(t), Spec{Mounts: []Mount{{Source: dir, Target: "/ro", ReadOnly: true}}})
	const tries = `touch /ro/a; mount -o remount,rw,bind /ro; touch /ro/b
		unshare -m sh -c 'mount -o remount,rw /ro; touch /ro/c; mount -o remount,rw,bind /ro; touch /ro/d'
		unshare -rm sh -c 'mount -o remount,rw /ro; touch /ro/e; mount -o remount,rw,bind /ro; touch /ro/f; umount -l /ro; mkdir -p /tmp/m; mount --bind /ro /tmp/m; touch /tmp/m/g'
		echo done`
	if got := run(t, box, "("+tries+") 2>/dev/null"); got != "done" {
		t.Error(got)
	}
	if got := entries(t, dir); len(got) > 0 {
		t.Errorf("made: %q", got)
	}
}

// TestOCILinks: links that a sandbox has left in place of directories lead
// nowhere on the host when it starts again.
func TestOCILinks(t *testing.T) {
	rt := ociMode().start(t)
	for _, name := range []string{"tmp", "etc", "home/user", "proc", "workspace", "data", "dev"} {
		outside, base, id := t.TempDir(), filepath.Join(t.TempDir(), "base"), "box-"+filepath.Base(name)
		link := filepath.Join(base, snapshotRoot, name)
		if err := os.MkdirAll(filepath.Dir(link), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(outside, link); err != nil {
			t.Fatal(err)
		}
		box, err := rt.Create(t.Context(), Spec{ID: id, Base: base, Mounts: []Mount{{Source: t.TempDir(), Target: "/data/sub"}}})
		if err == nil {
			run(t, box, "(touch /tmp/x /etc/x /home/user/x /proc/x /workspace/x /data/x /data/sub/x /dev/x) 2>/dev/null; true")
			err = box.Close()
		}
		t.Log(name, err)
		if got := entries(t, outside); len(got) > 0 {
			t.Errorf("%s: outside there is %q", name, got)
		}
	}
}

func init() {
	helpers["oci-server"] = func() error { return serverHelper(ociMode().open) }
}

// TestOCIServerKilled: no container, process or mount outlives the server, and
// the next one removes its files.
func TestOCIServerKilled(t *testing.T) {
	ociMode().start(t) // or skip
	dir := filepath.Join(t.TempDir(), "boxes")
	killServer(t, "oci-server", dir)
	eventually(t, "the end of the containers", func() error {
		for _, file := range commandLines(t) {
			text, _ := os.ReadFile(file)
			if strings.Contains(string(text), dir) {
				return errors.New(strings.ReplaceAll(string(text), "\x00", " "))
			}
		}
		return nil
	})
	if mounts, err := os.ReadFile("/proc/self/mountinfo"); err != nil || strings.Contains(string(mounts), dir) {
		t.Errorf("mounts: %v, %s", err, mounts)
	}
	rt, err := ociMode().open(Config{Dir: dir, Logger: discard()})
	if err != nil {
		t.Fatal(err)
	}
	if got := entries(t, layersOf(rt).path("")); len(got) != 0 {
		t.Errorf("files of %q are left", got)
	}
	if got := cgroupsIn(dir); len(got) != 0 {
		t.Errorf("cgroups %q are left", got)
	}
	create(t, rt, Spec{ID: "a"})
	if err := rt.Close(); err != nil {
		t.Error(err)
	}
	if got := entries(t, dir); len(got) != 0 {
		t.Errorf("left: %q", got)
	}
}

func commandLines(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	return files
}

// TestOCIEvicts: a container that a killed server has left, and whose agent
// does not end, is ended by the next.
func TestOCIEvicts(t *testing.T) {
	command, kind, err := findOCI(ociProgram())
	if err != nil || !kind.ownKernel {
		t.Skip("no runsc: ", err)
	}
	first, err := openOCI(Config{Dir: filepath.Join(t.TempDir(), "boxes"), Logger: discard()}, command)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { first.Close() })
	box := create(t, first, Spec{ID: "left"})
	// What a server does that takes a directory over, but for the lock.
	if err := first.evict(); err != nil {
		t.Error(err)
	}
	<-box.Done()
}
