package image

import (
	"archive/tar"
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

var unpackLimits = Limits{Layers: 10, Bytes: 1 << 20, Compressed: 1 << 20, Entries: 1000, PathLength: 1000}

// owners are those that this user can give files to.
func owners(tb testing.TB) map[string]Owner {
	tb.Helper()
	list := map[string]Owner{"single": {UID: os.Geteuid(), GID: os.Getegid(), Size: 1}}
	if mayGive(tb, 200000) {
		list["range"] = Owner{UID: 200000, GID: 200000, Size: 65536}
	}
	return list
}

// mayGive reports whether files may be given to a user, which root in a user
// namespace may not.
func mayGive(tb testing.TB, uid int) bool {
	tb.Helper()
	return os.Lchown(tb.TempDir(), uid, uid) == nil
}

func unpackTest(t *testing.T, owner Owner, data []byte) (string, error) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "layer")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := removeTree(dir); err != nil {
			t.Error(err)
		}
	})
	_, err := unpack(t.Context(), dir, bytes.NewReader(data), owner, nil, unpackLimits, newBudget(unpackLimits.Bytes))
	return dir, err
}

func TestUnpack(t *testing.T) {
	t.Parallel()
	data := tarOf(t,
		item{name: "./", kind: tar.TypeDir, mode: 0o711},
		item{name: "./bin", kind: tar.TypeSymlink, link: "usr/bin"},
		item{name: "usr/bin/su", body: "program", mode: 0o4755},
		item{name: "usr/bin/theirs", body: "program", mode: 0o6755, uid: 7},
		item{name: "usr/bin/same", kind: tar.TypeLink, link: "./usr/bin/su"},
		item{name: "bin/tool", body: "by way of a link"},
		item{name: "tmp", kind: tar.TypeDir, mode: 0o1777},
		item{name: "closed", kind: tar.TypeDir, mode: 0o500},
		item{name: "closed/file", body: "x", mode: 0o400},
		item{name: "far", body: "x", uid: 70000},
		item{name: "null", kind: tar.TypeChar}, item{name: "disk", kind: tar.TypeBlock},
		item{name: "fifo", kind: tar.TypeFifo, mode: 0o600},
		item{name: "twice", body: "first"}, item{name: "twice", body: "second"},
		item{name: "turned", kind: tar.TypeDir, mode: 0o755}, item{name: "turned/in", body: "x"}, item{name: "turned", body: "file"},
		item{name: "back", body: "file"}, item{name: "back", kind: tar.TypeDir, mode: 0o700},
		file(".wh.hidden", ""), file(".wh.usr", ""), file(".wh..wh.plnk", ""),
		file(".wh.again", ""), file("again/new", "x"),
		file(".wh.other", ""), file("other", "x"),
		item{name: "noted", body: "x", pax: map[string]string{
			"SCHILY.xattr.user.note": "v", "SCHILY.xattr.user.overlay.redirect": "/etc", "SCHILY.xattr.trusted.overlay.opaque": "y",
			"SCHILY.xattr.security.capability": "x",
		}},
	)
	for name, owner := range owners(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root, err := unpackTest(t, owner, data)
			if err != nil {
				t.Fatal(err)
			}
			for name, want := range map[string]string{
				"bin": "-> usr/bin", "usr/bin/tool": "by way of a link", "twice": "second", "turned": "file", "back": "directory",
				"hidden": "whiteout", "usr": "opaque", "again": "opaque", "other": "x", "null": "missing", "disk": "missing",
				".wh.hidden": "missing", ".wh..wh.plnk": "missing", "usr/bin/same": "program",
			} {
				if got := show(t, filepath.Join(root, name)); got != want {
					t.Errorf("%s is %s, want %s", name, got, want)
				}
			}
			their := fs.ModeSetuid | fs.ModeSetgid | 0o755
			if owner.Size == 1 {
				their = 0o755
			}
			for name, want := range map[string]fs.FileMode{
				".": fs.ModeDir | 0o711, "usr/bin/su": fs.ModeSetuid | 0o755, "usr/bin/theirs": their, "tmp": fs.ModeDir | fs.ModeSticky | 0o777,
				"closed": fs.ModeDir | 0o500, "closed/file": 0o400, "fifo": fs.ModeNamedPipe | 0o600,
			} {
				if info, err := os.Lstat(filepath.Join(root, name)); err != nil || info.Mode() != want {
					t.Errorf("%s: mode %v, want %v (%v)", name, info.Mode(), want, err)
				}
			}
			checkOwners(t, root, owner)
			su, err1 := os.Stat(filepath.Join(root, "usr/bin/su"))
			same, err2 := os.Stat(filepath.Join(root, "usr/bin/same"))
			if err1 != nil || err2 != nil || !os.SameFile(su, same) || !su.ModTime().Equal(time.Unix(1_700_000_000, 0)) {
				t.Errorf("link: %v, %v, time %v", err1, err2, su.ModTime())
			}
			if got := xattrs(t, filepath.Join(root, "noted")); got != "user.note" {
				t.Errorf("attributes %q", got)
			}
		})
	}
}

func checkOwners(t *testing.T, root string, owner Owner) {
	t.Helper()
	for name, inner := range map[string]int{".": 0, "bin": 0, "usr": 0, "usr/bin/su": 0, "usr/bin/theirs": 7, "far": nobodyID} {
		want := owner.UID
		if owner.Size > 1 {
			want += inner
		}
		info, err := os.Lstat(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		if st := info.Sys().(*syscall.Stat_t); int(st.Uid) != want {
			t.Errorf("%s belongs to %d, want %d", name, st.Uid, want)
		}
	}
}

// TestHostile: nothing is written outside, and what cannot be right is an
// error about the image.
func TestHostile(t *testing.T) {
	t.Parallel()
	up := strings.Repeat("../", 20)
	tests := map[string][]item{
		"dots":                      {file("../escaped", "x")},
		"dots inside":               {file("a/../../escaped", "x")},
		"link out":                  {{name: "l", kind: tar.TypeSymlink, link: up}, file("l/escaped", "x")},
		"link to parent":            {{name: "l", kind: tar.TypeSymlink, link: ".."}, file("l/escaped", "x")},
		"absolute link":             {{name: "l", kind: tar.TypeSymlink, link: "/tmp"}, file("l/escaped", "x")},
		"two links out":             {dir("d"), {name: "d/l", kind: tar.TypeSymlink, link: ".."}, {name: "m", kind: tar.TypeSymlink, link: "d/l/.."}, file("m/escaped", "x")},
		"hard link out":             {{name: "h", kind: tar.TypeLink, link: "../victim"}},
		"hard link to absolute":     {{name: "h", kind: tar.TypeLink, link: "/etc/passwd"}},
		"hard link through link":    {{name: "l", kind: tar.TypeSymlink, link: up + "etc"}, {name: "h", kind: tar.TypeLink, link: "l/passwd"}},
		"hard link to directory":    {dir("d"), {name: "h", kind: tar.TypeLink, link: "d"}},
		"hard link to whiteout":     {file(".wh.w", ""), {name: "h", kind: tar.TypeLink, link: "w"}},
		"hard link to missing":      {{name: "h", kind: tar.TypeLink, link: "nowhere"}},
		"hard link over its parent": {file("d/f", "x"), {name: "d", kind: tar.TypeLink, link: "d/f"}},
		"whiteout through link":     {{name: "l", kind: tar.TypeSymlink, link: ".."}, file("l/.wh.victim", "")},
		"whiteout of parent":        {file(".wh...", "")},
		"whiteout of itself":        {file(".wh..", "")},
		"whiteout of nothing":       {file(".wh.", "")},
		"opaque through link":       {{name: "l", kind: tar.TypeSymlink, link: ".."}, file("l/.wh..wh..opq", "")},
		"link to itself":            {{name: "l", kind: tar.TypeSymlink, link: "l"}, file("l/x", "x")},
		"empty link":                {{name: "l", kind: tar.TypeSymlink}},
		"file as directory":         {file("f", "x"), file("f/x", "x")},
		"root is a file":            {{name: "/", kind: tar.TypeSymlink, link: "/tmp"}},
		"long name":                 {file(strings.Repeat("a", 256), "x")},
		"long path":                 {file(strings.Repeat("a/", 600)+"a", "x")},
		"deep path":                 {file(strings.Repeat("a/", 300)+"x", "x")},
		"unknown type":              {{name: "x", kind: 'Z'}},
	}
	for name, items := range tests {
		for mode, owner := range owners(t) {
			t.Run(name+"/"+mode, func(t *testing.T) {
				t.Parallel()
				parent := t.TempDir()
				victim := filepath.Join(parent, "victim")
				if err := os.WriteFile(victim, []byte("whole"), 0o600); err != nil {
					t.Fatal(err)
				}
				dir := filepath.Join(parent, "layer")
				if err := os.Mkdir(dir, 0o700); err != nil {
					t.Fatal(err)
				}
				_, err := unpack(t.Context(), dir, bytes.NewReader(tarOf(t, items...)), owner, nil, unpackLimits, newBudget(1<<20))
				if !errors.Is(kindOf(err), ErrInvalidImage) {
					t.Errorf("error %v", err)
				}
				wantAlone(t, parent, victim)
			})
		}
	}
}

// wantAlone checks that nothing came into a directory but its layer, and
// nothing happened to the file next to it.
func wantAlone(t *testing.T, parent, victim string) {
	t.Helper()
	list, err := os.ReadDir(parent)
	if err != nil || len(list) != 2 {
		t.Errorf("next to the layer: %v, %v", list, err)
	}
	info, err := os.Lstat(victim)
	if err != nil || info.Sys().(*syscall.Stat_t).Nlink != 1 {
		t.Errorf("the file next to the layer: %v, %v", info, err)
	}
	if opaque, _ := opaqueDir(parent); opaque {
		t.Error("the directory of the layer got an attribute")
	}
	if data, err := os.ReadFile(victim); err != nil || string(data) != "whole" {
		t.Errorf("the file next to the layer: %q, %v", data, err)
	}
}

// TestLyingSizes: what counts is what is written.
func TestLyingSizes(t *testing.T) {
	t.Parallel()
	owner := owners(t)["single"]
	holes := "1\n1099511627776\n0\n" // one piece of no data after a TiB of nothing
	sparse := tarOf(t, item{name: "x", body: holes + strings.Repeat("\x00", 512-len(holes)), pax: map[string]string{
		"GNU.SPARSE.major": "1", "GNU.SPARSE.minor": "0", "GNU.SPARSE.name": "x", "GNU.SPARSE.realsize": "1099511627776",
	}})
	sparse = bytes.ReplaceAll(sparse, []byte("GNU.SPARSE"), []byte("GNU.sparse")) // which no writer takes
	for name, test := range map[string]struct {
		data []byte
		want error
	}{
		"truncated":  {tarOf(t, file("x", strings.Repeat("x", 9000)))[:5000], ErrInvalidImage},
		"no tar":     {bytes.Repeat([]byte("no tar "), 1000), ErrInvalidImage},
		"sparse":     {sparse, ErrTooLarge},
		"large":      {tarOf(t, file("x", strings.Repeat("x", 2<<20))), ErrTooLarge},
		"many small": {tarOf(t, items(600)...), ErrTooLarge},
		"many names": {tarOf(t, items(1001)...), ErrTooLarge},
	} {
		_, err := unpackTest(t, owner, test.data)
		if err == nil || !errors.Is(kindOf(err), test.want) {
			t.Errorf("%s: error %v, want %v", name, err, test.want)
		}
	}
}

func items(n int) []item {
	var list []item
	for i := range n {
		list = append(list, file(strings.Repeat("D/", i%3)+string(rune('a'+i%26))+strings.Repeat("x", i/26), "y"))
	}
	return list
}

func FuzzUnpack(f *testing.F) {
	f.Add(tarOf(f, dir("d"), file("d/f", "x"), item{name: "l", kind: tar.TypeSymlink, link: "d"}, file("l/g", "y")))
	f.Add(tarOf(f, file(".wh.a", ""), dir("a"), file("a/.wh..wh..opq", ""), item{name: "h", kind: tar.TypeLink, link: "a"}))
	f.Add(tarOf(f, item{name: "l", kind: tar.TypeSymlink, link: ".."}, file("l/x", ""), file("l/.wh.victim", "")))
	f.Add(tarOf(f, item{name: "x", body: "1", pax: map[string]string{"SCHILY.xattr.user.a": "b", "GNU.SPARSE.map": "0,1"}}))
	f.Fuzz(func(t *testing.T, data []byte) {
		parent := t.TempDir()
		victim := filepath.Join(parent, "victim")
		if err := os.WriteFile(victim, []byte("whole"), 0o600); err != nil {
			t.Fatal(err)
		}
		dir := filepath.Join(parent, "layer")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		size, err := unpack(t.Context(), dir, bytes.NewReader(data), owners(t)["single"], nil, unpackLimits, newBudget(1<<20))
		if err == nil && size > 1<<20 {
			t.Errorf("size %d", size)
		}
		if err != nil && kindOf(err) == nil {
			t.Errorf("not the image's fault: %v", err)
		}
		wantAlone(t, parent, victim)
		if err := removeTree(dir); err != nil {
			t.Error(err)
		}
	})
}
