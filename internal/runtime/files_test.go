//go:build unix

package runtime

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestFiles(t *testing.T) {
	everyMode(t, func(t *testing.T, rt Runtime) {
		box := create(t, rt, Spec{})
		mustWrite(t, box, "/app/a/b/x", "hello")
		if got := run(t, box, "cat "+inside(box, "/app/a/b/x")); got != "hello" {
			t.Errorf("command read %q", got)
		}
		mustWrite(t, box, "rel/x", "home")
		if got := run(t, box, "cat rel/x"); got != "home" {
			t.Errorf("command read %q at home", got)
		}
		run(t, box, "echo out > from-command; ln -s from-command link")
		if got := mustRead(t, box, "from-command"); got != "out\n" {
			t.Errorf("read %q", got)
		}
		if got := mustRead(t, box, filepath.Join(box.Home(), "link")); got != "out\n" {
			t.Errorf("read %q through a link", got)
		}
		for _, dir := range []string{"/app", "/home/user", "/tmp", "/workspace"} {
			mustWrite(t, box, dir+"/w", dir)
			if got := run(t, box, "cd "+inside(box, dir)+" && cat w && rm w"); got != dir {
				t.Errorf("%s: %q", dir, got)
			}
		}
	})
}

func TestOpenFlags(t *testing.T) {
	everyMode(t, func(t *testing.T, rt Runtime) {
		box := create(t, rt, Spec{})
		mustWrite(t, box, "/app/x", "one")
		_, err := box.OpenFile(t.Context(), "/app/x", os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		if !errors.Is(err, fs.ErrExist) {
			t.Errorf("exclusive: %v", err)
		}
		file, err := box.OpenFile(t.Context(), "/app/x", os.O_WRONLY|os.O_APPEND, 0)
		if err != nil {
			t.Fatal(err)
		}
		file.WriteString("two")
		file.Close()
		if got := mustRead(t, box, "/app/x"); got != "onetwo" {
			t.Errorf("appended: %q", got)
		}
		file, err = box.OpenFile(t.Context(), "/app/mode", os.O_RDWR|os.O_CREATE, 0o700)
		if err != nil {
			t.Fatal(err)
		}
		if info, err := file.Stat(); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%v, %v", info.Mode(), err)
		}
		if flags, err := unix.FcntlInt(file.Fd(), unix.F_GETFL, 0); err != nil || flags&unix.O_NONBLOCK != 0 {
			t.Errorf("flags %o, %v", flags, err)
		}
		file.Close()
	})
}

func TestOpenErrors(t *testing.T) {
	everyMode(t, func(t *testing.T, rt Runtime) {
		box := create(t, rt, Spec{})
		run(t, box, "mkfifo fifo; mkdir dir; ln -s loop loop; echo x > file; ln -s "+inside(box, "/app")+" away")
		cancelled, cancel := context.WithCancel(t.Context())
		cancel()
		tests := []struct {
			name string
			ctx  context.Context
			flag int
			want error
		}{
			{"missing", t.Context(), os.O_RDONLY, fs.ErrNotExist},
			{"no/dir/x", t.Context(), os.O_RDONLY, fs.ErrNotExist},
			{"dir", t.Context(), os.O_RDONLY, syscall.EISDIR},
			{"dir", t.Context(), os.O_RDWR, syscall.EISDIR},
			{"/", t.Context(), os.O_RDONLY, syscall.EISDIR},
			{".", t.Context(), os.O_RDONLY, syscall.EISDIR},
			{"fifo", t.Context(), os.O_RDONLY, syscall.EINVAL},
			{"fifo", t.Context(), os.O_WRONLY, syscall.EINVAL},
			{"fifo", t.Context(), os.O_RDWR, syscall.EINVAL},
			{"loop", t.Context(), os.O_RDONLY, nil},
			{"file/x", t.Context(), os.O_RDONLY, syscall.ENOTDIR},
			{"file/x", t.Context(), os.O_WRONLY | os.O_CREATE, syscall.ENOTDIR},
			{"", t.Context(), os.O_RDONLY, syscall.EINVAL},
			{"a\x00b", t.Context(), os.O_RDONLY, syscall.EINVAL},
			{"file", t.Context(), syscall.O_NOFOLLOW, syscall.EINVAL},
			{"file", cancelled, os.O_RDONLY, context.Canceled},
		}
		for _, test := range tests {
			if test.name == "fifo" && ownKernel(rt) {
				test.want = fs.ErrNotExist
			}
			file, err := box.OpenFile(test.ctx, test.name, test.flag, 0o644)
			var pathError *fs.PathError
			if !errors.As(err, &pathError) || test.want != nil && !errors.Is(err, test.want) {
				t.Errorf("%q with %x: %v", test.name, test.flag, err)
			}
			if err == nil {
				file.Close()
			} else if pathError != nil && pathError.Path != test.name {
				t.Errorf("%q: error of %q", test.name, pathError.Path)
			}
		}
	})
}

func TestPipes(t *testing.T) {
	noLeaks(t)
	for name, pipe := range map[string]func() (*os.File, *os.File, error){"input": InputPipe, "output": OutputPipe} {
		ours, theirs, err := pipe()
		if err != nil {
			t.Fatal(err)
		}
		if flags, err := unix.FcntlInt(theirs.Fd(), unix.F_GETFL, 0); err != nil || flags&unix.O_NONBLOCK != 0 {
			t.Errorf("%s: their end has flags %o, %v", name, flags, err)
		}
		if err := ours.SetDeadline(time.Now().Add(time.Hour)); err != nil {
			t.Errorf("%s: our end: %v", name, err)
		}
		ours.Close()
		theirs.Close()
	}
}

func TestMounts(t *testing.T) {
	everyMode(t, func(t *testing.T, rt Runtime) {
		volume := t.TempDir()
		if err := os.WriteFile(filepath.Join(volume, "seed"), []byte("from host"), 0o600); err != nil {
			t.Fatal(err)
		}
		mounts := []Mount{{Source: volume, Target: "/data/vol"}}
		a := create(t, rt, Spec{ID: "a", Mounts: mounts})
		b := create(t, rt, Spec{ID: "b", Mounts: mounts})
		if got := run(t, a, "cd "+inside(a, "/data/vol")+" && cat seed && echo more >> seed && mkdir -p d && echo new > d/new"); got != "from host" {
			t.Errorf("seed %q", got)
		}
		if got := mustRead(t, b, "/data/vol/d/new"); got != "new\n" {
			t.Errorf("the other sandbox read %q", got)
		}
		mustWrite(t, b, "/data/vol/d/api", "api")
		if got := run(t, a, "cat "+inside(a, "/data/vol/d/api")); got != "api" {
			t.Errorf("the other sandbox's file: %q", got)
		}
		if err := errors.Join(a.Close(), b.Close()); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(filepath.Join(volume, "seed"))
		if err != nil || string(data) != "from hostmore\n" {
			t.Errorf("after the sandboxes: %q, %v", data, err)
		}
		if got := entries(t, volume); strings.Join(got, " ") != "d seed" {
			t.Errorf("volume has %q", got)
		}
	})
}

func TestMissingMount(t *testing.T) {
	everyMode(t, func(t *testing.T, rt Runtime) {
		_, err := rt.Create(t.Context(), Spec{ID: "box", Mounts: []Mount{{Source: "/no/such/dir", Target: "/data"}}})
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("got %v", err)
		}
		file := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(file, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		_, err = rt.Create(t.Context(), Spec{ID: "box", Mounts: []Mount{{Source: file, Target: "/data"}}})
		if !errors.Is(err, syscall.ENOTDIR) {
			t.Errorf("a file: %v", err)
		}
		create(t, rt, Spec{ID: "box"}) // the name is free again
	})
}
