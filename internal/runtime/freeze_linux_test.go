package runtime

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// frozenMode returns a sandbox whose commands can be frozen.
func frozenMode(t *testing.T) *sandbox {
	t.Helper()
	box := create(t, modes[0].start(t), Spec{ID: "first"}).(*sandbox)
	if box.cgroup == nil {
		t.Skip("there are no cgroups of the second version")
	}
	return box
}

// counter counts in two files, with much to copy beside them: the first is never
// behind, nor ahead by more than one.
const counter = `
import os
def first(name): return os.open(name, os.O_RDWR | os.O_CREAT)
a, b = first("a"), first("z/b")
i = 0
while not os.path.exists("stop"):
    i += 1
    os.pwrite(a, b"%08d" % i, 0)
    os.pwrite(b, b"%08d" % i, 0)
    if i == 1: print("going", flush=True)
`

// count reads what it has come to.
func count(t *testing.T, name string) int {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(strings.TrimLeft(string(data), "0"))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestFreeze captures files that belong together while they are written, and
// the command goes on.
func TestFreeze(t *testing.T) {
	box := frozenMode(t)
	run(t, box, "mkdir m z && cd m && seq 2000 | xargs touch && head -c 20000000 /dev/zero > data")
	counting := start(t, box, Command{Args: []string{"python3", "-c", counter}})
	counting.readLine(t)
	last := 0
	for i := range 5 {
		dir := filepath.Join(t.TempDir(), "snapshot")
		if _, err := box.Capture(t.Context(), CaptureSpec{Dir: dir}); err != nil {
			t.Fatal(err)
		}
		a, b := count(t, dir+"/root/home/user/a"), count(t, dir+"/root/home/user/z/b")
		if a != b && a != b+1 {
			t.Errorf("capture %d: %d in the first file, %d in the second", i, a, b)
		}
		if a <= last {
			t.Errorf("capture %d: from %d to %d", i, last, a)
		}
		if last = a; box.rt.RemoveSnapshot(dir) != nil {
			t.Error("snapshot is left")
		}
		eventually(t, "the command goes on", func() error {
			if got := mustRead(t, box, "a"); got <= fmt.Sprintf("%08d", a) {
				return fmt.Errorf("at %s", got)
			}
			return nil
		})
	}
	mustWrite(t, box, "stop", "")
	if status := counting.waitEnd(t); status.Code != 0 {
		t.Errorf("%+v", status)
	}
}

// TestThaw: commands go on after captures that fail.
func TestThaw(t *testing.T) {
	box := frozenMode(t)
	run(t, box, "seq 3000 | xargs touch")
	counting := start(t, box, shell("while [ ! -e stop ]; do echo x; sleep 0.001; done"))
	dir := filepath.Join(t.TempDir(), "snapshot")
	runs := func(after string) {
		t.Helper()
		if n := box.freezer.users; n != 0 {
			t.Errorf("%s: %d captures", after, n)
		}
		if got := run(t, box, "echo fine"); got != "fine" {
			t.Errorf("%s: %q", after, got)
		}
		leaves, err := box.cgroup.commands()
		if err != nil || len(leaves) == 0 {
			t.Errorf("%s: %v, %v", after, leaves, err)
		}
		for _, leaf := range leaves {
			if data, err := os.ReadFile(filepath.Join(leaf, freezeFile)); err == nil && string(data) != "0\n" {
				t.Errorf("after %s %s has %q", after, leaf, data)
			}
		}
	}
	if _, err := box.Capture(t.Context(), CaptureSpec{Dir: dir, Limit: 1 << 16}); !errors.Is(err, ErrTooLarge) {
		t.Error(err)
	}
	runs("a limit")
	for files := 3000; ; files *= 4 {
		if err := interrupted(t, box, dir, true); err != nil {
			break
		}
		if err := box.rt.RemoveSnapshot(dir); err != nil {
			t.Fatal(err)
		}
		run(t, box, fmt.Sprintf("seq %d | xargs touch", files))
	}
	runs("a cancel")
	func() {
		defer func() { _ = recover() }()
		thaw, err := box.freeze(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer thaw()
		panic("in a capture")
	}()
	runs("a panic")
	one, err1 := box.freeze(t.Context())
	other, err2 := box.freeze(t.Context())
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	one()
	one()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := box.Start(ctx, shell("true")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a command started while another capture goes on: %v", err)
	}
	other()
	runs("two at a time")
	mustWrite(t, box, "stop", "")
	if status := counting.waitEnd(t); status.Code != 0 {
		t.Errorf("%+v", status)
	}
}

// TestFrozenEnds: a sandbox can be ended, and a command killed, while all
// stands still; one that waits to start is told.
func TestFrozenEnds(t *testing.T) {
	box := frozenMode(t)
	sleeping := start(t, box, shell("echo going; sleep 1000"))
	sleeping.readLine(t)
	killed := start(t, box, shell("echo going; sleep 1000"))
	killed.readLine(t)
	thaw, err := box.freeze(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer thaw()
	if err := killed.Kill(); err != nil {
		t.Error(err)
	}
	if status := killed.waitEnd(t); status.Code != 137 {
		t.Errorf("%+v", status)
	}
	waiting := make(chan error, 1)
	go func() {
		_, err := box.Start(t.Context(), shell("true"))
		waiting <- err
	}()
	if err := box.Close(); err != nil {
		t.Error(err)
	}
	if err := <-waiting; !errors.Is(err, ErrClosed) {
		t.Errorf("a command that waited: %v", err)
	}
}
