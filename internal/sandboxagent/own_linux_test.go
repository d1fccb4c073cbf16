package sandboxagent

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// owner is whose a name is, with its mode.
func owner(t *testing.T, name string) (uid, mode int) {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Lstat(name, &st); err != nil {
		t.Fatal(err)
	}
	return int(st.Uid), int(st.Mode & 0o7777)
}

func TestOwnFiles(t *testing.T) {
	t.Parallel()
	top := t.TempDir()
	layer, outside := filepath.Join(top, "layer"), filepath.Join(top, "outside")
	for _, dir := range []string{filepath.Join(layer, "dir"), outside} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{filepath.Join(layer, "su"), filepath.Join(layer, "dir", "file"), filepath.Join(layer, "far"), filepath.Join(outside, "file")} {
		if err := os.WriteFile(name, nil, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, target := range map[string]string{"inside": "dir", "out": "../outside", "rooted": outside, "dangling": "nothing"} {
		if err := os.Symlink(target, filepath.Join(layer, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Lchown(filepath.Join(outside, "file"), 7, 7); err != nil {
		t.Skip(err) // nobody but root gives files away
	}
	dir, err := os.Open(layer)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	list := `{"name":"su","uid":5,"gid":6,"mode":3565}
		{"name":"inside/file","uid":5,"gid":6}{"name":"dangling","uid":5,"gid":6,"mode":3565}
		{"name":"out/file","uid":5,"gid":6}{"name":"rooted/file","uid":5,"gid":6}{"name":"../outside/file","uid":5,"gid":6}
		{"name":"none","uid":5,"gid":6}{"name":"su/x","uid":5,"gid":6}{"name":"none/x","uid":5,"gid":6}
		{"name":"far","uid":5,"gid":6}{"name":"far","uid":0,"gid":0}{"name":".","uid":8,"gid":8}`
	if err := ownFiles(t.Context(), int(dir.Fd()), strings.NewReader(list)); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][2]int{
		"layer": {8, 0o755}, "layer/su": {5, 0o6755}, "layer/dir": {0, 0o755}, "layer/dir/file": {5, 0o755},
		"layer/dangling": {5, 0o777}, "layer/far": {0, 0o755}, "outside/file": {7, 0o755}, "outside": {0, 0o755},
	} {
		if uid, mode := owner(t, filepath.Join(top, name)); uid != want[0] || mode != want[1] {
			t.Errorf("%s: %d, %o", name, uid, mode)
		}
	}
	if err := ownFiles(t.Context(), int(dir.Fd()), strings.NewReader(`{"name":"su"`)); err == nil {
		t.Error("half of a list is one")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := ownFiles(ctx, int(dir.Fd()), strings.NewReader(list)); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end: %v", err)
	}
}
