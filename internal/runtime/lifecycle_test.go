//go:build unix

package runtime

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestCreateMany(t *testing.T) {
	everyMode(t, func(t *testing.T, rt Runtime) {
		var all sync.WaitGroup
		for i := range 100 {
			all.Go(func() {
				box, err := rt.Create(t.Context(), Spec{ID: fmt.Sprintf("box-%d", i)})
				if err != nil {
					t.Error(err)
					return
				}
				process, err := box.Start(t.Context(), shell(fmt.Sprintf("exit %d", i)))
				if err != nil {
					t.Error(err)
					return
				}
				if status, err := process.Wait(t.Context()); err != nil || status.Code != i {
					t.Errorf("%+v, %v, want %d", status, err, i)
				}
				if i%2 == 0 {
					if err := box.Close(); err != nil {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
	})
}

func TestCreateErrors(t *testing.T) {
	everyMode(t, func(t *testing.T, rt Runtime) {
		create(t, rt, Spec{ID: "taken"})
		if _, err := rt.Create(t.Context(), Spec{ID: "taken"}); !errors.Is(err, fs.ErrExist) {
			t.Errorf("taken: %v", err)
		}
		for _, id := range []string{"", "Upper", "a/b", "..", strings.Repeat("x", 65)} {
			if _, err := rt.Create(t.Context(), Spec{ID: id}); err == nil {
				t.Errorf("id %q", id)
			}
		}
		if err := rt.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := rt.Create(t.Context(), Spec{ID: "late"}); !errors.Is(err, ErrClosed) {
			t.Errorf("closed: %v", err)
		}
		if err := rt.Close(); err != nil {
			t.Errorf("second close: %v", err)
		}
	})
}

func TestClose(t *testing.T) {
	everyMode(t, func(t *testing.T, rt Runtime) {
		box := create(t, rt, Spec{})
		// Directories that their owner may not enter are no hindrance.
		run(t, box, "mkdir -p d/e/f && touch d/e/f/x && chmod 0 d/e/f d/e d")
		jobs := []job{start(t, box, shell(runaway)), start(t, box, shell("setsid sleep 1000 & echo started"))}
		for _, j := range jobs {
			j.readLine(t)
		}
		jobs[1].waitEnd(t)
		var all sync.WaitGroup
		for range 3 {
			all.Go(func() {
				if err := box.Close(); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		for _, j := range jobs {
			j.readAll(t)
		}
		select {
		case <-box.Done():
		default:
			t.Error("not done")
		}
		if _, err := jobs[0].Wait(t.Context()); !errors.Is(err, ErrClosed) {
			t.Errorf("wait for a killed command: %v", err)
		}
		if status, err := jobs[1].Wait(t.Context()); err != nil || status.Code != 0 {
			t.Errorf("wait for an ended command: %v, %v", status, err)
		}
		if err := jobs[0].Kill(); err != nil {
			t.Errorf("kill: %v", err)
		}
		if _, err := box.Start(t.Context(), shell("true")); !errors.Is(err, ErrClosed) {
			t.Errorf("start: %v", err)
		}
		if _, err := box.OpenFile(t.Context(), "x", os.O_RDONLY, 0); !errors.Is(err, ErrClosed) {
			t.Errorf("open: %v", err)
		}
		if got := entries(t, layersOf(rt).path("")); len(got) != 0 {
			t.Errorf("files of %q are left", got)
		}
		create(t, rt, Spec{}) // the name is free again
	})
}

func TestStop(t *testing.T) {
	everyMode(t, func(t *testing.T, rt Runtime) {
		volume := t.TempDir()
		spec := Spec{ID: "box", Mounts: []Mount{{Source: volume, Target: "/data"}}}
		first := create(t, rt, spec)
		mustWrite(t, first, "/app/kept", "kept")
		j := start(t, first, shell("setsid sleep 1000 & echo started"))
		j.readLine(t)
		for range 2 {
			if err := first.Stop(); err != nil {
				t.Fatal(err)
			}
		}
		j.readAll(t)
		if _, err := first.Start(t.Context(), shell("true")); !errors.Is(err, ErrClosed) {
			t.Errorf("start after stop: %v", err)
		}

		second := create(t, rt, spec)
		if got := run(t, second, "cat "+inside(second, "/app/kept")); got != "kept" {
			t.Errorf("kept %q", got)
		}
		// Closing the first does not take the second's files.
		if err := first.Close(); err != nil {
			t.Fatal(err)
		}
		if got := mustRead(t, second, "/app/kept"); got != "kept" {
			t.Errorf("kept %q", got)
		}
		if err := second.Stop(); err != nil {
			t.Fatal(err)
		}
		if err := second.Close(); err != nil {
			t.Fatal(err)
		}
		third := create(t, rt, spec)
		if _, err := third.OpenFile(t.Context(), "/app/kept", os.O_RDONLY, 0); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("a new sandbox has an old file: %v", err)
		}
		if err := third.Stop(); err != nil {
			t.Fatal(err)
		}
	})
}

// TestFailedRestart keeps the files of a stopped sandbox.
func TestFailedRestart(t *testing.T) {
	everyMode(t, func(t *testing.T, rt Runtime) {
		box := create(t, rt, Spec{})
		mustWrite(t, box, "/app/kept", "kept")
		if err := box.Stop(); err != nil {
			t.Fatal(err)
		}
		bad := Spec{ID: "box", Mounts: []Mount{{Source: "/no/such/dir", Target: "/data"}}}
		if _, err := rt.Create(t.Context(), bad); err == nil {
			t.Fatal("created")
		}
		again := create(t, rt, Spec{})
		if got := mustRead(t, again, "/app/kept"); got != "kept" {
			t.Errorf("kept %q", got)
		}
	})
}

func TestDirectory(t *testing.T) {
	everyMode(t, func(t *testing.T, rt Runtime) {
		dir := layersOf(rt).dir
		if _, err := New(Config{Dir: dir, Isolation: IsolationProcess}); err == nil || errors.Is(err, ErrUnsupported) {
			t.Errorf("a second runtime: %v", err)
		}
	})
	t.Run("leftovers", func(t *testing.T) {
		noLeaks(t)
		dir := t.TempDir()
		for _, name := range []string{layersName, trashName} {
			if err := os.MkdirAll(filepath.Join(dir, name, "1", "root"), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(filepath.Join(dir, "other"), nil, 0o644); err != nil {
			t.Fatal(err)
		}
		rt, err := New(Config{Dir: dir, Isolation: IsolationProcess})
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{layersName, trashName} {
			if got := entries(t, filepath.Join(dir, name)); len(got) != 0 {
				t.Errorf("%q is left of an earlier runtime in %s", got, name)
			}
		}
		if err := rt.Close(); err != nil {
			t.Error(err)
		}
		if got := entries(t, dir); strings.Join(got, " ") != "other" {
			t.Errorf("directory has %q", got)
		}
	})
}

// TestCloseLate closes a stopped sandbox when its directory is another
// runtime's.
func TestCloseLate(t *testing.T) {
	noLeaks(t)
	cfg := Config{Dir: t.TempDir(), Isolation: IsolationProcess}
	first, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	old := create(t, first, Spec{})
	if err := errors.Join(old.Stop(), first.Close()); err != nil {
		t.Fatal(err)
	}
	second, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	box := create(t, second, Spec{})
	mustWrite(t, box, "/app/x", "x")
	if err := old.Close(); err != nil {
		t.Error(err)
	}
	if got := mustRead(t, box, "/app/x"); got != "x" {
		t.Errorf("got %q", got)
	}
	if err := second.Close(); err != nil {
		t.Error(err)
	}
}

func TestNewErrors(t *testing.T) {
	noLeaks(t)
	for _, cfg := range []Config{{}, {Dir: t.TempDir(), Isolation: "magic"}, {Dir: "/dev/null/x"}} {
		if rt, err := New(cfg); err == nil {
			t.Errorf("%+v", cfg)
			rt.Close()
		}
	}
}

func TestSpecErrors(t *testing.T) {
	good := Spec{ID: "a", Mounts: []Mount{{Source: "/s", Target: "/data/x"}, {Source: "/s", Target: "/data"}}}
	checked, err := good.checked()
	if err != nil || checked.Hostname != "a" || checked.Mounts[0].Target != "/data" || good.Mounts[0].Target != "/data/x" {
		t.Errorf("%+v, %v", checked, err)
	}
	for _, m := range []Mount{
		{Source: "rel", Target: "/data"},
		{Source: "/s", Target: "data"},
		{Source: "/s", Target: "/"},
		{Source: "/s", Target: "/data/"},
		{Source: "/s", Target: "/a/../b"},
		{Source: "/s", Target: ""},
		{Source: "/s", Target: "/proc"},
		{Source: "/s", Target: "/dev/x"},
		{Source: "/s", Target: "/sys"},
		{Source: "/s", Target: "/usr"},
		{Source: "/s", Target: "/etc"},
		{Source: "/s", Target: "/a\x00"},
	} {
		if _, err := (Spec{ID: "a", Mounts: []Mount{m}}).checked(); err == nil {
			t.Errorf("%+v", m)
		}
	}
	for _, name := range []string{"a b", "a/b", "a:b", strings.Repeat("x", 65), "a\nb"} {
		if _, err := (Spec{ID: "a", Hostname: name}).checked(); err == nil {
			t.Errorf("hostname %q", name)
		}
	}
}

func TestMergeEnv(t *testing.T) {
	got := mergeEnv([]string{"A=1", "B=1"}, nil, []string{"A=2", "C", "A=3"})
	if strings.Join(got, " ") != "B=1 C A=3" {
		t.Errorf("got %q", got)
	}
}
