package sandboxserver

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/langsandbox/sandbox-go/gen"
	"github.com/langsandbox/sandbox-go/internal/imagetest"
	"github.com/langsandbox/sandbox-go/internal/runtime"
)

func pulling(t *testing.T) func(*Config) {
	t.Helper()
	if _, err := runtime.ImageOwner(); err != nil {
		t.Skip(err)
	}
	return func(c *Config) { c.PullImages = true }
}

// latest is how the last sandbox was started.
func (b *bench) latest() runtime.Spec {
	b.t.Helper()
	specs := b.fake.started()
	if len(specs) == 0 {
		b.t.Fatal("no sandbox was started")
	}
	return specs[len(specs)-1]
}

// TestTemplateImage: a sandbox starts from the image of its template.
func TestTemplateImage(t *testing.T) {
	t.Parallel()
	shelf := imagetest.NewRegistry(t)
	reference := shelf.Push(t, "app", v1.Config{User: "app", WorkingDir: "/srv", Env: []string{"A=b"}},
		[]imagetest.Entry{imagetest.File("etc/passwd", "app:x:7:8::/home/app:/bin/sh\n"), imagetest.File("file", "1")})
	b := newBench(t, pulling(t))
	b.template("app", map[string]any{"image": reference})
	b.template("plain", map[string]any{"image": "host"})
	b.box(map[string]any{"template_name": "app", "name": "one"})
	got := b.latest().Image
	if got == nil || len(got.Layers) != 1 {
		t.Fatalf("image %+v", got)
	}
	layer := got.Layers[0]
	if data, err := os.ReadFile(filepath.Join(layer, "file")); err != nil || string(data) != "1" {
		t.Errorf("the layer has %q, %v", data, err)
	}
	want := &runtime.ImageRoot{Layers: got.Layers, UID: 7, GID: 8, Home: "/home/app", User: "app", Env: []string{"A=b"}, Dir: "/srv"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("image (-want +got):\n%s", diff)
	}
	b.box(map[string]any{"template_name": "plain"})
	if got := b.latest().Image; got != nil {
		t.Errorf("the host's image is %+v", got)
	}
	b.box(map[string]any{})
	if got := b.latest().Image; got != nil {
		t.Errorf("no image is %+v", got)
	}
	// Pools start from it, too.
	b.want(201, "POST", "/pools", map[string]any{"name": "p", "template_name": "app", "replicas": 1, "wait_for_ready": true})
	if got := b.latest().Image; got == nil || got.Layers[0] != layer {
		t.Errorf("pool: image %+v", got)
	}
	b.box(map[string]any{"template_name": "app", "name": "two"})
	for _, name := range []string{"one", "two"} {
		b.want(204, "DELETE", "/boxes/"+name, nil)
	}
}

// TestImagesAreNames: by default nothing is pulled.
func TestImagesAreNames(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.template("app", map[string]any{"image": "127.0.0.1:1/nothing"})
	b.box(map[string]any{"template_name": "app"})
	if got := b.latest().Image; got != nil {
		t.Errorf("image %+v", got)
	}
}

// TestImagePull: images that cannot be had are told apart as the API does.
func TestImagePull(t *testing.T) {
	t.Parallel()
	shelf := imagetest.NewRegistry(t)
	reference := shelf.Push(t, "private", v1.Config{}, []imagetest.Entry{imagetest.File("f", "1")})
	var seen atomic.Bool // there were credentials
	shelf.Before(func(w http.ResponseWriter, r *http.Request) bool {
		user, password, given := r.BasicAuth()
		seen.Store(seen.Load() || given)
		if user == "me" && password == "hidden-word" {
			return true
		}
		w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
		w.WriteHeader(http.StatusUnauthorized)
		return false
	})
	b := newBench(t, pulling(t))
	refuse := func(template, words string) {
		t.Helper()
		a := b.call("POST", "/boxes", map[string]any{"template_name": template, "name": "x"})
		b.refused(a, 422, codeImagePull, words)
		if strings.Contains(a.body, "word") {
			t.Errorf("the answer tells a password: %s", a.body)
		}
		b.refused(b.call("GET", "/boxes/x", nil), 404, codeNotFound)
	}
	b.template("missing", map[string]any{"image": "127.0.0.1:1/none"})
	refuse("missing", "127.0.0.1:1/none")
	b.template("invalid", map[string]any{"image": "NOT//AN IMAGE"})
	refuse("invalid", "reference")
	b.template("locked", map[string]any{"image": reference})
	refuse("locked", "access")

	for name, login := range map[string]map[string]any{
		"right": {"url": "http://" + shelf.Host, "username": "me", "password": "hidden-word"},
		"wrong": {"url": shelf.Host, "username": "me", "password": "another-word"},
		"other": {"url": "registry.example", "username": "me", "password": "hidden-word"},
	} {
		login["name"] = name
		b.want(201, "POST", "/registries", login)
		b.template("by-"+name, map[string]any{"image": reference, "registry_name": name})
	}
	seen.Store(false)
	refuse("by-other", "access")
	if seen.Load() {
		t.Error("credentials of another registry were sent")
	}
	refuse("by-wrong", "access")
	b.box(map[string]any{"template_name": "by-right"})

	a := decode[gen.Sandbox](t, b.want(201, "POST", "/boxes", map[string]any{"template_name": "missing", "name": "later", "wait_for_ready": false}))
	eventually(t, "the sandbox failed", func() bool { return b.status(a.Name).Status == gen.StatusFailed })
	if said := b.status(a.Name).StatusMessage; !strings.Contains(said, "127.0.0.1:1/none") {
		t.Errorf("status message %q", said)
	}
}

// TestSnapshotImage: a snapshot is built from an image, and a capture of a
// sandbox keeps to that image, whatever its tag says later, also after a
// restart.
func TestSnapshotImage(t *testing.T) {
	t.Parallel()
	shelf := imagetest.NewRegistry(t)
	reference := shelf.Push(t, "app:1", v1.Config{
		User: "9", Cmd: []string{"run"}, ExposedPorts: map[string]struct{}{"80/tcp": {}, "53/udp": {}}, Labels: map[string]string{"a": "image", "b": "image"},
	}, []imagetest.Entry{imagetest.File("file", "old")})
	dir := t.TempDir()
	pull := pulling(t)
	keep := func(c *Config) { c.Dir = dir; pull(c) }
	b := newBench(t, keep)
	b.fake.capture = func(_ context.Context, spec runtime.CaptureSpec) (runtime.Captured, error) {
		return runtime.Captured{}, os.Mkdir(spec.Dir, 0o700)
	}
	s := b.image(map[string]any{"name": "app", "docker_image": reference, "labels": map[string]any{"b": "own"}})
	if s.Status != gen.SnapshotReady || s.FSUsedBytes == 0 || s.DockerImage != reference {
		t.Fatalf("snapshot %+v", s)
	}
	if diff := cmp.Diff(gen.Labels{"a": "image", "b": "own"}, s.Labels); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
	for name, body := range map[string]map[string]any{
		"was not found": {"name": "none", "docker_image": shelf.Host + "/none"},
		"does not fit":  {"name": "small", "docker_image": reference, "fs_capacity_bytes": 1},
	} {
		failed := b.image(body)
		if failed.Status != gen.SnapshotFailed || failed.StatusMessage == "" {
			t.Errorf("%s: %s, %q", name, failed.Status, failed.StatusMessage)
		}
	}
	b.box(map[string]any{"snapshot": "app", "name": "first"})
	first := b.latest().Image
	if first == nil || first.UID != 9 {
		t.Fatalf("image %+v", first)
	}
	captured := b.built(decode[gen.Snapshot](t, b.want(201, "POST", "/boxes/first/snapshot", map[string]any{"name": "mine"})))
	shelf.Push(t, "app:1", v1.Config{}, []imagetest.Entry{imagetest.File("file", "new")})
	for _, stage := range []string{"at once", "after a restart"} {
		b.box(map[string]any{"snapshot_id": captured.ID, "name": "copy " + stage})
		got := b.latest()
		if got.Base == "" || got.Image == nil || got.Image.Layers[0] != first.Layers[0] {
			t.Errorf("%s: base %q, image %+v", stage, got.Base, got.Image)
		}
		if err := b.server.Close(); err != nil {
			t.Fatal(err)
		}
		b = newBench(t, keep)
	}
}

// TestImagesNeedIsolation: a server that cannot use images does not start.
func TestImagesNeedIsolation(t *testing.T) {
	t.Parallel()
	server, err := New(Config{PullImages: true, Isolation: IsolationProcess, MinIsolation: IsolationProcess})
	if err == nil {
		server.Close()
		t.Fatal("no error")
	}
	if !strings.Contains(err.Error(), "image") {
		t.Errorf("error %v", err)
	}
}
