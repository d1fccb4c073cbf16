//go:build unix

package runtime

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// layersIn returns the files of a runtime in a directory, which keep some.
func layersIn(t *testing.T, dir string, kept ...string) *layers {
	t.Helper()
	l, err := openLayers(Config{
		Dir: dir, Logger: slog.New(slog.DiscardHandler),
		Keep: func(id string) bool { return slices.Contains(kept, id) },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// fakeLayer makes what a snapshot looks like; marked ones were removed.
func fakeLayer(t *testing.T, dir string, marked bool, below ...string) {
	t.Helper()
	err := errors.Join(
		os.MkdirAll(filepath.Join(dir, snapshotRoot, "d"), 0o700),
		writeNote(filepath.Join(dir, infoName), layerInfo{Below: below}),
	)
	if marked {
		err = errors.Join(err, os.WriteFile(filepath.Join(dir, goneName), nil, 0o600))
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestSnapshotLeftovers removes what a kill leaves between the steps of a
// capture and of a removal.
func TestSnapshotLeftovers(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		make   func(t *testing.T, at func(string) string)
		remove []string
		stay   []string
	}{
		"a capture before its last rename": {
			func(t *testing.T, at func(string) string) { fakeLayer(t, at("x"+partial), false) },
			[]string{"x" + partial},
			nil,
		},
		"a removal before its mark": {
			func(t *testing.T, at func(string) string) { fakeLayer(t, at("x"), false) },
			[]string{"x"},
			nil,
		},
		"a removal before its rename": {
			func(t *testing.T, at func(string) string) { fakeLayer(t, at("x"), true) },
			[]string{"x"},
			nil,
		},
		"a removal after its rename": {
			func(t *testing.T, at func(string) string) { fakeLayer(t, at("x"+swept), true) },
			[]string{"x" + swept},
			nil,
		},
		"what lay under one that is half gone": {
			func(t *testing.T, at func(string) string) {
				fakeLayer(t, at("x"+swept), false, "below") // without its mark already
				fakeLayer(t, at("below"), true)
			},
			[]string{"below"},
			[]string{"x" + swept},
		},
		"what lies under one that stays": {
			func(t *testing.T, at func(string) string) {
				fakeLayer(t, at("x"), false, "below")
				fakeLayer(t, at("below"), true)
			},
			[]string{"below"},
			[]string{"below", "x"},
		},
		"beside what is no layer": {
			func(t *testing.T, at func(string) string) {
				fakeLayer(t, at("x"), true)
				if err := os.WriteFile(at("notes"), nil, 0o600); err != nil {
					t.Fatal(err)
				}
			},
			[]string{"x"},
			[]string{"notes"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := layersIn(t, filepath.Join(t.TempDir(), "runtime"))
			dir := t.TempDir()
			test.make(t, func(name string) string { return filepath.Join(dir, name) })
			for _, name := range test.remove {
				if err := l.removeSnapshot(filepath.Join(dir, name)); err != nil {
					t.Error(err)
				}
			}
			if got := entries(t, dir); !slices.Equal(got, test.stay) {
				t.Errorf("there is %q, want %q", got, test.stay)
			}
		})
	}
}

// TestLinksElsewhere: a link among a runtime's files goes, and nothing of what
// it leads to, also when that looks like a runtime's own.
func TestLinksElsewhere(t *testing.T) {
	t.Parallel()
	top := t.TempDir()
	outside, dir, snapshots := filepath.Join(top, "outside"), filepath.Join(top, "runtime"), filepath.Join(top, "snapshots")
	fakeLayer(t, outside, false)
	fakeLayer(t, filepath.Join(outside, "marked"), true)
	err := errors.Join(
		writeNote(filepath.Join(outside, baseName), base{Dir: "../outside", Layers: []string{"marked"}}),
		os.MkdirAll(snapshots, 0o700), os.MkdirAll(filepath.Join(dir, layersName), 0o700), os.MkdirAll(filepath.Join(dir, trashName), 0o700),
	)
	links := []string{filepath.Join(snapshots, "x"), filepath.Join(dir, layersName, "box"), filepath.Join(dir, trashName, "1")}
	for _, link := range links {
		err = errors.Join(err, os.Symlink(outside, link))
	}
	if err != nil {
		t.Fatal(err)
	}
	want := entries(t, outside)
	l := layersIn(t, dir)
	if err := l.removeSnapshot(links[0]); err != nil {
		t.Error(err)
	}
	for _, link := range links {
		if _, err := os.Lstat(link); !os.IsNotExist(err) {
			t.Errorf("%s: %v", link, err)
		}
	}
	if got := entries(t, outside); !slices.Equal(got, want) {
		t.Errorf("there is %q, was %q", got, want)
	}
}
