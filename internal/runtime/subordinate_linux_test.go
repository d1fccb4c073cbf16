package runtime

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestSubordinateRange(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, file  string
		start, size int
	}{
		{"name", "other:1:2\nme:100000:65536\n", 100000, 65536},
		{"number", "1001:200000:1000", 200000, 1000},
		{"largest", "me:100000:10\n1001:300000:500\nme:400000:20", 300000, 500},
		{"spaces around", "  me:100000:65536  \n", 100000, 65536},
		{"nobody", "you:100000:65536\nme2:1:1", 0, 0},
		{"empty", "", 0, 0},
		{"comment", "# me:100000:65536\n#\n", 0, 0},
		{"fields", "me:100000\nme:1:2:3\nme", 0, 0},
		{"not numbers", "me:a:65536\nme:100000:-5\nme::\nme:0x10:3", 0, 0},
		{"root", "me:0:65536", 0, 0},
		{"too large", "me:100000:99999999999\nme:99999999999:5", 0, 0},
		{"beyond the last id", "me:4294967000:1000", 0, 0},
	} {
		start, size := subordinateRange(strings.NewReader(test.file), []string{"1001", "me"})
		if start != test.start || size != test.size {
			t.Errorf("%s: %d, %d", test.name, start, size)
		}
	}
}

func FuzzSubordinateRange(f *testing.F) {
	f.Add("me:100000:65536\n")
	f.Add("me:4294967295:4294967295\nme:1:1")
	f.Fuzz(func(t *testing.T, file string) {
		start, size := subordinateRange(strings.NewReader(file), []string{"me"})
		if start < 0 || size < 0 || (start == 0) != (size == 0) || start+size > 1<<32-1 {
			t.Errorf("%d, %d", start, size)
		}
	})
}

// startSubordinate starts a runtime with subordinate ids, or skips.
func startSubordinate(t *testing.T) *native {
	t.Helper()
	n := startNative(t)
	if !n.ids.subordinate() {
		t.Skip(whyNoSubordinates())
	}
	return n
}

// TestSubordinateFiles: users of sandboxes have files of their own, which the
// server can copy and remove though it may not read them.
func TestSubordinateFiles(t *testing.T) {
	n := startSubordinate(t)
	volume := filepath.Join(t.TempDir(), "volume")
	if err := os.Mkdir(volume, 0o755); err != nil {
		t.Fatal(err)
	}
	box := create(t, n, Spec{ID: "box", Mounts: []Mount{{Source: volume, Target: "/data"}}})
	run(t, box, `for dir in /home/user/deep /data/deep; do
		mkdir -p $dir/er && echo secret > $dir/er/file && chmod 700 $dir $dir/er && chmod 400 $dir/er/file && chown -R 1234:4321 $dir
	done`)
	var st unix.Stat_t
	if err := unix.Stat(filepath.Join(volume, "deep"), &st); err != nil || int(st.Uid) != n.ids.subUID+1233 || int(st.Gid) != n.ids.subGID+4320 {
		t.Errorf("%v, %d:%d", err, st.Uid, st.Gid)
	}
	if _, err := os.ReadDir(filepath.Join(volume, "deep")); err == nil {
		t.Error("the files are the server's to read, and so this shows nothing")
	}
	snapshot := filepath.Join(t.TempDir(), "snapshot")
	if _, err := box.Capture(t.Context(), CaptureSpec{Dir: snapshot}); err != nil {
		t.Fatal(err)
	}
	clone := create(t, n, Spec{ID: "clone", Base: snapshot})
	if got := run(t, clone, "stat -c %u:%g:%a /home/user/deep/er/file; cat /home/user/deep/er/file"); got != "1234:4321:400\nsecret" {
		t.Errorf("the clone has %q", got)
	}
	for _, err := range []error{clone.Close(), box.Close(), n.RemoveSnapshot(snapshot), RemoveTree(volume)} {
		if err != nil {
			t.Error(err)
		}
	}
}
