//go:build unix

package runtime

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// eachFiles runs a test in each mode that has files in a way of its own.
func eachFiles(t *testing.T, test func(t *testing.T, rt Runtime)) {
	t.Helper()
	for _, m := range modes {
		if m.name != "native-search" { // another way to kill
			t.Run(m.name, func(t *testing.T) { test(t, m.start(t)) })
		}
	}
}

// capture makes a snapshot of a sandbox and removes it at the end.
func capture(t *testing.T, box Sandbox) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "snapshot")
	got, err := box.Capture(t.Context(), CaptureSpec{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if got.Bytes <= 0 || got.Entries <= 0 {
		t.Errorf("captured %+v", got)
	}
	t.Cleanup(func() {
		if err := layersOf(box).removeSnapshot(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func TestSnapshot(t *testing.T) {
	eachFiles(t, func(t *testing.T, rt Runtime) {
		volume := t.TempDir()
		first := create(t, rt, Spec{ID: "first", Mounts: []Mount{{Source: volume, Target: "/data"}}})
		mustWrite(t, first, "/app/x", "one")
		mustWrite(t, first, "/data/secret", "of the volume")
		run(t, first, `cd "$HOME" && mkdir -p d/e && echo deep > d/e/f && chmod 640 d/e/f && touch -d 2001-02-03T04:05:06Z d/e/f &&
			ln d/e/f hard && ln -s d/e/f soft && mkfifo pipe && chmod 1711 d`)
		dir := capture(t, first)
		mustWrite(t, first, "/app/x", "changed later")

		for _, id := range []string{"second", "third"} {
			box := create(t, rt, Spec{ID: id, Base: dir})
			if got := mustRead(t, box, "/app/x"); got != "one" {
				t.Errorf("%s: %q", id, got)
			}
			got := run(t, box, `cd "$HOME" && cat soft && stat -c '%a %Y %h' hard && [ hard -ef d/e/f ] && stat -c %a d && if [ -e pipe ]; then stat -c %F pipe; fi`)
			want := "deep\n640 981173106 2\n1711\nfifo"
			if ownKernel(rt) {
				want = strings.TrimSuffix(want, "\nfifo")
			}
			if got != want {
				t.Errorf("%s:\n%s\nwant\n%s", id, got, want)
			}
			if _, err := box.OpenFile(t.Context(), "/data/secret", os.O_RDONLY, 0); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s: a mount was captured: %v", id, err)
			}
			mustWrite(t, box, "/app/x", "by "+id)
		}
		if got := mustRead(t, first, "/app/x"); got != "changed later" {
			t.Errorf("the first has %q", got)
		}
		if data, err := os.ReadFile(filepath.Join(dir, "root/app/x")); err != nil || string(data) != "one" {
			t.Errorf("the snapshot has %q, %v", data, err)
		}
	})
}

// TestSnapshotStopped captures a stopped sandbox, and starts one again that
// began with a snapshot: it has its own files.
func TestSnapshotStopped(t *testing.T) {
	eachFiles(t, func(t *testing.T, rt Runtime) {
		first := create(t, rt, Spec{ID: "first"})
		mustWrite(t, first, "/app/x", "one")
		if err := first.Stop(); err != nil {
			t.Fatal(err)
		}
		spec := Spec{ID: "second", Base: capture(t, first)}
		if err := first.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := first.Capture(t.Context(), CaptureSpec{Dir: filepath.Join(t.TempDir(), "x")}); !errors.Is(err, ErrClosed) {
			t.Errorf("capture after close: %v", err)
		}
		second := create(t, rt, spec)
		mustWrite(t, second, "/app/x", "two")
		if err := second.Stop(); err != nil {
			t.Fatal(err)
		}
		second = create(t, rt, spec)
		if got := mustRead(t, second, "/app/x"); got != "two" {
			t.Errorf("after a stop: %q", got)
		}
		if err := second.Close(); err != nil {
			t.Fatal(err)
		}
		second = create(t, rt, spec)
		if got := mustRead(t, second, "/app/x"); got != "one" {
			t.Errorf("anew: %q", got)
		}
	})
}

func TestSnapshotErrors(t *testing.T) {
	eachFiles(t, func(t *testing.T, rt Runtime) {
		box := create(t, rt, Spec{})
		mustWrite(t, box, "/app/x", strings.Repeat("x", 1<<20))
		parent := t.TempDir()
		dir := filepath.Join(parent, "snapshot")
		if _, err := box.Capture(t.Context(), CaptureSpec{Dir: dir, Limit: 1 << 20}); !errors.Is(err, ErrTooLarge) {
			t.Errorf("too large: %v", err)
		}
		canceled, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := box.Capture(canceled, CaptureSpec{Dir: dir}); !errors.Is(err, context.Canceled) {
			t.Errorf("canceled: %v", err)
		}
		if left := entries(t, parent); len(left) != 0 {
			t.Errorf("failed captures left %q", left)
		}
		if err := os.MkdirAll(filepath.Join(dir+partial, "root/a"), 0o700); err != nil {
			t.Fatal(err)
		}
		if _, err := box.Capture(t.Context(), CaptureSpec{Dir: dir, Limit: 4 << 20}); err != nil {
			t.Errorf("over the rest of another: %v", err)
		}
		if _, err := box.Capture(t.Context(), CaptureSpec{Dir: dir}); !errors.Is(err, fs.ErrExist) {
			t.Errorf("twice: %v", err)
		}
		if left := entries(t, parent); len(left) != 1 {
			t.Errorf("there is %q", left)
		}
		if _, err := rt.Create(t.Context(), Spec{ID: "other", Base: filepath.Join(parent, "none")}); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("no base: %v", err)
		}
		if left := entries(t, layersOf(rt).path("")); len(left) != 1 {
			t.Errorf("layers: %q", left)
		}
		create(t, rt, Spec{ID: "other", Base: dir})
	})
}

// TestSnapshotBroken breaks a capture off in the middle, by its context and by
// the end of the sandbox.
func TestSnapshotBroken(t *testing.T) {
	eachFiles(t, func(t *testing.T, rt Runtime) {
		for name, want := range map[string]error{"cancel": context.Canceled, "close": ErrClosed} {
			parent := t.TempDir()
			// A fast machine may be done before it is interrupted: then with more.
			for files, i := 500, 0; ; files, i = 4*files, i+1 {
				box := create(t, rt, Spec{ID: fmt.Sprint(name, i)})
				run(t, box, fmt.Sprintf("seq %d | xargs touch", files))
				err := interrupted(t, box, filepath.Join(parent, "snapshot"), name == "cancel")
				if err == nil {
					if err := os.RemoveAll(filepath.Join(parent, "snapshot")); err != nil {
						t.Fatal(err)
					}
					continue
				}
				if !errors.Is(err, want) {
					t.Errorf("%s: %v", name, err)
				}
				break
			}
			if left := entries(t, parent); len(left) != 0 {
				t.Errorf("%s left %q", name, left)
			}
		}
	})
}

// interrupted captures, and cancels or closes the sandbox while files are
// copied.
func interrupted(t *testing.T, box Sandbox, dir string, cancels bool) error {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		_, err := box.Capture(ctx, CaptureSpec{Dir: dir})
		ended <- err
	}()
	eventually(t, "a copy begins", func() error {
		_, err := os.Lstat(dir + partial + "/root")
		if _, whole := os.Lstat(dir); whole == nil {
			return nil
		}
		return err
	})
	if cancels {
		cancel()
	} else if err := box.Close(); err != nil {
		t.Error(err)
	}
	return <-ended
}

// TestSnapshotRace captures while a command writes, removes and moves.
func TestSnapshotRace(t *testing.T) {
	eachFiles(t, func(t *testing.T, rt Runtime) {
		box := create(t, rt, Spec{})
		j := start(t, box, shell(`mkdir -p a/b/c/d other; echo going; while [ ! -e stop ]; do
			i=$(((i+1)%50)); echo $i > a/b/c/d/$i; rm -f a/b/c/d/$(((i+25)%50)); ln -sf $i a/link; mv a/b other/b; mv other/b a/b
			rm -f swap; ln -s /etc swap; rm -f swap; mkdir swap; rmdir swap; truncate -s $((i*4096)) a/size; done`))
		j.readLine(t)
		for i := range 10 {
			base := capture(t, box)
			next := create(t, rt, Spec{ID: fmt.Sprintf("next-%d", i), Base: base})
			run(t, next, "ls -lR . > /dev/null")
			if err := next.Close(); err != nil {
				t.Error(err)
			}
		}
		mustWrite(t, box, "stop", "")
		if status := j.waitEnd(t); status.Code != 0 {
			t.Errorf("%+v: %s", status, j.readAll(t))
		}
	})
}

// TestSnapshotHostile has links that lead to the host's files.
func TestSnapshotHostile(t *testing.T) {
	eachFiles(t, func(t *testing.T, rt Runtime) {
		host := t.TempDir()
		if err := os.WriteFile(filepath.Join(host, "secret"), []byte("of the host"), 0o600); err != nil {
			t.Fatal(err)
		}
		box := create(t, rt, Spec{})
		run(t, box, fmt.Sprintf(`cd %s && ln -s %s dir && ln -s %s/secret file && ln -s ../../../../../../../../../..%s up && ln -s self self &&
			mkdir odd && cd odd && touch -- -rf "$(printf 'new\nline')" "$(printf '\377')" ' '`, inside(box, "/app"), host, host, host))
		dir := capture(t, box)
		err := filepath.WalkDir(dir, func(name string, _ fs.DirEntry, err error) error {
			if err == nil && strings.Contains(name, "secret") {
				t.Errorf("%s is in the snapshot", name)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, link := range []string{"dir", "file", "up", "self"} {
			if _, err := os.Readlink(filepath.Join(dir, "root/app", link)); err != nil {
				t.Error(err)
			}
		}
		next := create(t, rt, Spec{ID: "next", Base: dir})
		if got := run(t, next, "ls -A "+inside(next, "/app")+"/odd | wc -l"); got != "5" {
			t.Errorf("%s odd names", got) // one has two lines
		}
		run(t, next, fmt.Sprintf("rm -r %[1]s/* && mkdir %[1]s/dir && echo x > %[1]s/dir/secret", inside(next, "/app")))
		if data, _ := os.ReadFile(filepath.Join(host, "secret")); string(data) != "of the host" {
			t.Errorf("the host's file is %q", data)
		}
	})
}

func TestSnapshotLarge(t *testing.T) {
	eachFiles(t, func(t *testing.T, rt Runtime) {
		box := create(t, rt, Spec{})
		run(t, box, `truncate -s 1G sparse && printf middle | dd of=sparse bs=1 seek=500M conv=notrunc 2>/dev/null
			mkdir many && cd many && seq 2000 | xargs touch`)
		dir := filepath.Join(t.TempDir(), "snapshot")
		got, err := box.Capture(t.Context(), CaptureSpec{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		if got.Entries < 2000 || got.Bytes < 2000*256 || got.Bytes > 8<<20 {
			t.Errorf("captured %+v", got)
		}
		next := create(t, rt, Spec{ID: "next", Base: dir})
		want := "1073741824\nmiddle\n2000"
		if got := run(t, next, `stat -c %s sparse; dd if=sparse bs=1 skip=500M count=6 2>/dev/null; echo; ls many | wc -l`); got != want {
			t.Errorf("%q", got)
		}
	})
}

// TestSnapshotDeep has far more levels than a path may name.
func TestSnapshotDeep(t *testing.T) {
	eachFiles(t, func(t *testing.T, rt Runtime) {
		box := create(t, rt, Spec{})
		const script = `python3 -c '
import os
for i in range(1500): os.mkdir("d"); os.chdir("d")
open("bottom", "w").write("here")'`
		run(t, box, script)
		next := create(t, rt, Spec{ID: "next", Base: capture(t, box)})
		got := run(t, next, `python3 -c '
import os
for i in range(1500): os.chdir("d")
print(open("bottom").read())'`)
		if got != "here" {
			t.Errorf("%q", got)
		}
	})
}
