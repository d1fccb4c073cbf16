package runtime

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/langsandbox/sandbox-go/internal/image"
	"github.com/langsandbox/sandbox-go/internal/imagetest"
)

// folder is a directory with a mode.
func folder(name string, mode int64, uid int) imagetest.Entry {
	e := imagetest.Dir(name, uid)
	e.Mode = mode
	return e
}

// pulled stores an image in a registry and pulls it back.
func pulled(t *testing.T, config v1.Config, layers ...[]imagetest.Entry) *ImageRoot {
	t.Helper()
	reference := imagetest.NewRegistry(t).Push(t, "test/image:1", config, layers...)
	owner, err := ImageOwner()
	if err != nil {
		t.Fatal(err)
	}
	store, err := image.Open(image.Config{Dir: filepath.Join(t.TempDir(), "images"), Owner: image.Owner(owner), Own: OwnFiles, Remove: RemoveTree})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	}()
	got, err := store.Pull(t.Context(), image.Request{Reference: reference})
	if err != nil {
		t.Fatal(err)
	}
	boot := got.Image.Config
	return &ImageRoot{
		Layers: got.Image.Layers, UID: boot.User.UID, GID: boot.User.GID, Groups: boot.User.Groups,
		Home: boot.User.Home, User: boot.User.Name, Env: boot.Env, Dir: boot.WorkingDir,
	}
}

var tools = []string{"sh", "ls", "cat", "id", "rm", "mkdir", "stat", "pwd", "env", "touch", "mv", "chmod"}

// TestImage boots an image from a registry.
func TestImage(t *testing.T) { eachNative(t, testImage) }

func testImage(t *testing.T, n *native) {
	root := pulled(t, v1.Config{User: "app", WorkingDir: "/work/here", Env: []string{"GREETING=hello", "HOME=/elsewhere"}},
		append(imagetest.Programs(t, tools...),
			imagetest.File("etc/passwd", "root:x:0:0::/root:/bin/sh\napp:x:1000:1001::/home/app:/bin/sh\n"),
			imagetest.File("etc/group", "app:x:1001:\nmore:x:1002:app\n"),
			folder("home/app", 0o700, 1000), imagetest.File("gone", "1"), imagetest.File("kept/file", "1"),
			folder("old", 0o755, 0), imagetest.File("old/a", "1"), imagetest.File("old/b", "1")),
		[]imagetest.Entry{imagetest.File(".wh.gone", ""), folder("old", 0o755, 0), imagetest.File("old/.wh..wh..opq", ""), imagetest.File("old/c", "2")},
		[]imagetest.Entry{imagetest.File("kept/more", "3"), folder("shared", 0o777, 0)},
	)
	ranged := n.ids.ranged()
	box := create(t, n, Spec{Image: root, Hostname: "inside"})
	who := "uid=1000(app) gid=1001(app) groups=1001(app),1002(more)"
	owner, passwdWrite := "app", "refused"
	if !ranged { // there is nobody but root
		who, owner, passwdWrite = "uid=0(root) gid=0 groups=0", "root", "written"
	}
	tests := []struct{ name, script, want string }{
		{"user", "id", who},
		{"directory", "pwd", "/work/here"},
		{"environment", "echo $GREETING $HOME $USER", "hello /elsewhere app"},
		{"whiteout", "ls /gone 2>/dev/null || echo none", "none"},
		{"opaque", "ls /old", "c"},
		{"merged", "ls /kept", "file\nmore"},
		{"home", "touch /home/app/x && stat -c %U /home/app/x", owner},
		{"host name", "cat /etc/hostname", "inside"},
		{"hosts", "cat /etc/hosts | (read a b c; echo $a $c)", "127.0.0.1 inside"},
		{"nothing of the host", "ls /usr/share /etc/ssl 2>/dev/null || echo none", "none"},
		{"temporary files", "echo x > /tmp/x && cat /tmp/x", "x"},
		{"devices", "echo x > /dev/null && ls /dev/shm /dev/pts/ptmx", "/dev/pts/ptmx\n\n/dev/shm:"},
		{"processes", "cat /proc/1/comm > /dev/null && echo seen", "seen"},
		{"layers are not the user's", "(echo x >> /etc/passwd) 2>/dev/null && echo written || echo refused", passwdWrite},
		{"output again", "echo again > /dev/stdout", "again"},
	}
	for _, test := range tests {
		got := run(t, box, test.script)
		if test.name == "user" && !ranged {
			got = strings.ReplaceAll(got, "(root)", "")
			test.want = strings.ReplaceAll(test.want, "(root)", "")
			got, _, _ = strings.Cut(got, ",")
		}
		if got != test.want {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
	if box.Home() != "/work/here" {
		t.Errorf("relative paths begin at %s", box.Home())
	}
	if got := mustRead(t, box, "/old/c"); got != "2" {
		t.Errorf("opened file holds %q", got)
	}
}

// TestImageChanges: what a sandbox changes is its own, stays when it stops, and
// can be captured.
func TestImageChanges(t *testing.T) {
	n := startNative(t)
	root := pulled(t, v1.Config{}, append(imagetest.Programs(t, tools...), folder("d", 0o755, 0), imagetest.File("d/f", "1"), imagetest.File("g", "1")))
	box := create(t, n, Spec{ID: "first", Image: root})
	run(t, box, "rm /g; mkdir /d/new; echo mine > /d/f; rm -r /d/new; mkdir -p /usr/local; echo x > /usr/local/x")
	other := create(t, n, Spec{ID: "second", Image: root})
	if got := run(t, other, "cat /g /d/f; ls /usr/local 2>/dev/null || echo none"); got != "11none" {
		t.Errorf("another sandbox sees %q", got)
	}
	snapshot := filepath.Join(t.TempDir(), "snapshot")
	if _, err := box.Capture(t.Context(), CaptureSpec{Dir: snapshot}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.RemoveSnapshot(snapshot); err != nil {
			t.Error(err)
		}
	})
	if err := box.Stop(); err != nil {
		t.Fatal(err)
	}
	const script = "cat /d/f /usr/local/x; ls /g 2>/dev/null || echo none"
	for _, spec := range []Spec{{ID: "first", Image: root}, {ID: "clone", Image: root, Base: snapshot}} {
		again := create(t, n, spec)
		if got := run(t, again, script); got != "mine\nx\nnone" {
			t.Errorf("%s: %q", spec.ID, got)
		}
		if err := again.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestManyLayers: more than one value for the kernel takes.
func TestManyLayers(t *testing.T) {
	n := startNative(t)
	layers := [][]imagetest.Entry{imagetest.Programs(t, "sh", "cat")}
	for i := range 100 {
		layers = append(layers, []imagetest.Entry{imagetest.File("top", strings.Repeat("x", i)), imagetest.File("layers/"+strings.Repeat("n", i+1), "")})
	}
	box := create(t, n, Spec{Image: pulled(t, v1.Config{}, layers...)})
	if got := run(t, box, "cat /top; set -- /layers/*; echo $#"); got != strings.Repeat("x", 99)+"100" {
		t.Errorf("got %q", got)
	}
}

// TestHostileImage: an image cannot lead the mounts of its sandbox elsewhere.
func TestHostileImage(t *testing.T) {
	n := startNative(t)
	link := func(name, target string) []imagetest.Entry {
		return []imagetest.Entry{imagetest.Link(name, target), folder("elsewhere", 0o777, 0)}
	}
	for _, name := range []string{"proc", "dev", "sys"} {
		_, err := n.Create(t.Context(), Spec{ID: "hostile", Image: pulled(t, v1.Config{}, link(name, "/elsewhere"))})
		if err == nil || !strings.Contains(err.Error(), "image /"+name) {
			t.Errorf("/%s is a link: %v", name, err)
		}
	}
	// Files of the sandbox that the image has as links are not written through.
	victim := filepath.Join(t.TempDir(), "victim")
	if err := os.WriteFile(victim, []byte("whole"), 0o666); err != nil {
		t.Fatal(err)
	}
	box := create(t, n, Spec{Image: pulled(t, v1.Config{}, append(imagetest.Programs(t, "sh", "cat"),
		imagetest.Link("etc/hosts", victim),
		imagetest.Link("etc/hostname", "/bin/sh")))})
	if got := run(t, box, "cat /etc/hostname"); got != "box" {
		t.Errorf("host name %q", got)
	}
	if data, err := os.ReadFile(victim); err != nil || string(data) != "whole" {
		t.Errorf("the host's file: %q, %v", data, err)
	}
}

func TestImageSpec(t *testing.T) {
	t.Parallel()
	for name, root := range map[string]ImageRoot{
		"no layers":       {},
		"many layers":     {Layers: slices.Repeat([]string{"/x"}, maxLayers+1)},
		"relative layer":  {Layers: []string{"x"}},
		"relative dir":    {Layers: []string{"/x"}, Dir: "x"},
		"dir with nul":    {Layers: []string{"/x"}, Dir: "/\x00"},
		"relative home":   {Layers: []string{"/x"}, Home: "x"},
		"negative user":   {Layers: []string{"/x"}, UID: -1},
		"negative group":  {Layers: []string{"/x"}, Groups: []int{-1}},
		"no environment":  {Layers: []string{"/x"}, Env: []string{"x"}},
		"environment nul": {Layers: []string{"/x"}, Env: []string{"x=\x00"}},
	} {
		if _, err := (Spec{ID: "a", Image: &root}).checked(); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestImageWithoutIsolation: there is no root to be had.
func TestImageWithoutIsolation(t *testing.T) {
	for _, name := range []string{"process", "oci"} {
		t.Run(name, func(t *testing.T) {
			rt := modeOf(name).start(t)
			_, err := rt.Create(t.Context(), Spec{ID: "a", Image: &ImageRoot{Layers: []string{t.TempDir()}}})
			if !errors.Is(err, ErrUnsupported) {
				t.Errorf("error %v", err)
			}
		})
	}
}
