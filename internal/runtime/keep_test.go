//go:build unix

package runtime

import (
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
)

// keeping opens a runtime that keeps the files of the sandbox "kept".
func (m mode) keeping(t *testing.T, dir string) Runtime {
	t.Helper()
	rt, err := m.open(Config{Dir: dir, Logger: slog.New(slog.DiscardHandler), Keep: func(name string) bool { return name == "kept" }})
	if errors.Is(err, ErrUnsupported) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return rt
}

func readFile(t *testing.T, box Sandbox, name string) string {
	t.Helper()
	file, err := box.OpenFile(t.Context(), name, os.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	data, err := io.ReadAll(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// TestKeep: the files of a sandbox outlive its runtime, and are removed with
// the sandbox by a later one. Those of others do not.
func TestKeep(t *testing.T) {
	for _, m := range modes {
		t.Run(m.name, func(t *testing.T) {
			noLeaks(t)
			dir := filepath.Join(t.TempDir(), "boxes")
			first := m.keeping(t, dir)
			for _, id := range []string{"kept", "other"} {
				box := create(t, first, Spec{ID: id})
				file, err := box.OpenFile(t.Context(), "note", os.O_WRONLY|os.O_CREATE, 0o644)
				if err != nil {
					t.Fatal(err)
				}
				io.WriteString(file, id)
				file.Close()
			}
			if err := first.Close(); err != nil {
				t.Fatal(err)
			}
			// What a server leaves that is killed while it makes or removes one.
			for _, name := range []string{"half.partial", "gone", "-"} {
				if err := os.MkdirAll(filepath.Join(dir, layersName, name, "root"), 0o700); err != nil {
					t.Fatal(err)
				}
			}
			second := m.keeping(t, dir)
			defer second.Close()
			if got := entries(t, layersOf(second).path("")); len(got) != 1 || got[0] != "kept" {
				t.Errorf("%q", got)
			}
			if _, err := second.Reopen(Spec{ID: "other"}); !errors.Is(err, fs.ErrNotExist) {
				t.Error(err)
			}
			left := reopened(t, second)
			if _, err := second.Reopen(Spec{ID: "kept"}); !errors.Is(err, fs.ErrExist) {
				t.Error(err)
			}
			if _, err := left.Capture(t.Context(), CaptureSpec{Dir: filepath.Join(filepath.Dir(dir), "snapshot")}); err != nil {
				t.Error(err)
			}
			box := create(t, second, Spec{ID: "kept"})
			if got := readFile(t, box, "note"); got != "kept" {
				t.Errorf("%q", got)
			}
			copied := create(t, second, Spec{ID: "copy", Base: filepath.Join(filepath.Dir(dir), "snapshot")})
			if got := readFile(t, copied, "note"); got != "kept" {
				t.Errorf("%q", got)
			}
			if err := left.Close(); err != nil { // the files are the later one's
				t.Error(err)
			}
			if got := readFile(t, box, "note"); got != "kept" {
				t.Errorf("%q", got)
			}
			if err := errors.Join(box.Close(), copied.Close()); err != nil {
				t.Error(err)
			}
			if got := entries(t, layersOf(second).path("")); len(got) != 0 {
				t.Errorf("%q", got)
			}
		})
	}
}

// reopened is the sandbox that is kept, which does nothing by itself.
func reopened(t *testing.T, rt Runtime) Sandbox {
	t.Helper()
	ctx := t.Context()
	left, err := rt.Reopen(Spec{ID: "kept"})
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-left.Done():
	default:
		t.Error("it runs")
	}
	_, err1 := left.Start(ctx, shell("true"))
	_, err2 := left.OpenFile(ctx, "note", os.O_RDONLY, 0)
	_, err3 := left.OpenDir(ctx, ".")
	_, err4 := left.Dial(ctx, "tcp", "localhost:1")
	_, err5 := left.Listen(ctx)
	for i, err := range []error{err1, err2, err3, err4, err5} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("%d: %v", i, err)
		}
	}
	if err := left.Stop(); err != nil {
		t.Error(err)
	}
	return left
}

// TestReopenAndClose removes what was kept.
func TestReopenAndClose(t *testing.T) {
	for _, m := range modes {
		t.Run(m.name, func(t *testing.T) {
			noLeaks(t)
			dir := filepath.Join(t.TempDir(), "boxes")
			first := m.keeping(t, dir)
			create(t, first, Spec{ID: "kept"})
			if err := first.Close(); err != nil {
				t.Fatal(err)
			}
			second := m.keeping(t, dir)
			left := reopened(t, second)
			if err := errors.Join(left.Close(), left.Close()); err != nil {
				t.Error(err)
			}
			if got := entries(t, layersOf(second).path("")); len(got) != 0 {
				t.Errorf("%q", got)
			}
			if err := second.Close(); err != nil {
				t.Error(err)
			}
			if _, err := second.Reopen(Spec{ID: "kept"}); err == nil {
				t.Error("a closed runtime reopens")
			}
		})
	}
}
