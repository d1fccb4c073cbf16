package image

import (
	"archive/tar"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	testPasswd = "root:x:0:0:root:/root:/bin/sh\n# comment\nshort:x\nbad:x:minus:0::/:\n" +
		"app:x:1000:1000:,,,:/home/app:/bin/sh\n12:x:77:77::/seventy:/bin/sh\nnohome:x:5:6:::\n"
	testGroup = "root:x:0:\nweb:x:30:other,app\nadm:x:4:app\napp:x:1000:app\n34:x:99:\n"
)

func TestResolveUser(t *testing.T) {
	t.Parallel()
	root, err := unpackTest(t, owners(t)["single"], tarOf(t, file("etc/passwd", testPasswd), file("etc/group", testGroup)))
	if err != nil {
		t.Fatal(err)
	}
	app := User{UID: 1000, GID: 1000, Groups: []int{4, 30}, Name: "app", Home: "/home/app"}
	withGroup := func(gid int) User { return User{UID: 1000, GID: gid, Name: "app", Home: "/home/app"} }
	for user, want := range map[string]User{
		"":         {Name: "root", Home: "/root"},
		"root":     {Name: "root", Home: "/root"},
		"app":      app,
		"1000":     app,
		"app:":     app,
		"app:web":  withGroup(30),
		"app:4321": withGroup(4321),
		"1000:adm": withGroup(4),
		"app:34":   withGroup(99),
		"12":       {UID: 77, GID: 77, Name: "12", Home: "/seventy"},
		"4242":     {UID: 4242, Home: "/"},
		"4242:web": {UID: 4242, GID: 30, Home: "/"},
		"nohome":   {UID: 5, GID: 6, Name: "nohome", Home: "/"},
		":web":     {GID: 30, Name: "root", Home: "/root"},
	} {
		got, err := ResolveUser([]string{root}, user)
		if err != nil {
			t.Errorf("%q: %v", user, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", user, diff)
		}
	}
	for _, user := range []string{"nobody-here", "-1", "app:none", "4294967296", "short", "bad", "app:-1", "2147483648"} {
		if got, err := ResolveUser([]string{root}, user); !errors.Is(err, ErrInvalidImage) {
			t.Errorf("%q: %+v, %v", user, got, err)
		}
	}
	empty, err := unpackTest(t, owners(t)["single"], tarOf(t, dir("etc")))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := ResolveUser([]string{empty}, ""); err != nil || got.Home != "/root" {
		t.Errorf("no files: %+v, %v", got, err)
	}
}

// TestMerged: files are looked up as overlayfs shows them.
func TestMerged(t *testing.T) {
	t.Parallel()
	link := func(name, target string) item { return item{name: name, kind: tar.TypeSymlink, link: target} }
	var layers []string
	for _, items := range [][]item{
		{
			file("low", "1"), file("both", "1"), file("hidden", "1"), dir("d"), file("d/low", "1"), dir("o"), file("o/low", "1"),
			file("f", "1"), file("etc/real", "1"), link("abs", "/etc/real"), link("rel", "d/../etc/real"), link("out", "../../../../low"), link("loop", "loop"), link("sub", "d"),
		},
		{file("both", "2"), file(".wh.hidden", ""), dir("d"), file("d/high", "2"), dir("o"), file("o/.wh..wh..opq", ""), file("o/high", "2"), file("d/.wh.none", "")},
		{dir("f"), file("f/in", "3"), file("sub2", "3")},
	} {
		root, err := unpackTest(t, owners(t)["single"], tarOf(t, items...))
		if err != nil {
			t.Fatal(err)
		}
		layers = append(layers, root)
	}
	for name, want := range map[string]string{
		"low": "1", "both": "2", "hidden": "", "d/low": "1", "d/high": "2", "o/low": "", "o/high": "2", "f": "", "f/in": "3",
		"abs": "1", "rel": "1", "out": "1", "loop": "", "sub/high": "2", "sub/../low": "1", "low/x": "", "none": "", "d": "", "d/none": "",
	} {
		got := ""
		if file, err := openMerged(layers, name); err == nil {
			buf := make([]byte, 10)
			n, _ := file.Read(buf)
			got = string(buf[:n])
			file.Close()
		}
		if got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func FuzzFindUser(f *testing.F) {
	f.Add(testPasswd, testGroup, "app:web")
	f.Add("::::", ":::,", "0:0")
	f.Fuzz(func(t *testing.T, passwd, group, user string) {
		split := func(s string) (lines [][]string) {
			for line := range strings.SplitSeq(s, "\n") {
				lines = append(lines, strings.Split(line, ":"))
			}
			return lines
		}
		u, err := findUser(split(passwd), split(group), user)
		if err == nil && (u.UID < 0 || u.GID < 0 || u.UID > maxID || u.GID > maxID || !strings.HasPrefix(u.Home, "/")) {
			t.Errorf("%+v", u)
		}
	})
}
