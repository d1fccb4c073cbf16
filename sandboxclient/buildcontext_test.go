package sandboxclient_test

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

// sent is what a build sends of a context: a line for each entry.
func sent(t *testing.T, dir, dockerfile string) (lines []string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		y := newYard(t)
		if _, err := y.client().Snapshots.Build(t.Context(), dir, env(), &sandboxclient.BuildOptions{Dockerfile: dockerfile}); err != nil {
			t.Fatal(err)
		}
		body := y.all["POST upload"][0]
		begin := strings.Index(body, "\r\n\r\n") + 4
		end := strings.LastIndex(body, "\r\n--")
		archive := tar.NewReader(strings.NewReader(body[begin:end]))
		for {
			h, err := archive.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			content, err := io.ReadAll(archive)
			if err != nil || h.Uid != 0 || h.Gid != 0 || h.Uname+h.Gname != "" {
				t.Errorf("%+v: %v", h, err)
			}
			lines = append(lines, strings.TrimSpace(fmt.Sprintf("%s %s %s%s", h.Name, h.FileInfo().Mode(), h.Linkname, content)))
		}
		y.close()
	})
	return lines
}

// TestBuildContext: files with their modes, symbolic links as they are, in
// order, and none of what an image has no use for.
func TestBuildContext(t *testing.T) {
	t.Parallel()
	dir := contextDir(t, "z", "a/b", "a.b", ".git/config", "sub/.git", strings.Repeat("long/", 60)+"x")
	at := func(name string) string { return filepath.Join(dir, name) }
	if err := errors.Join(
		os.Chmod(at("z"), 0o751), os.Symlink("/etc/shadow", at("out")), os.Symlink("../..", at("a/up")),
		os.Symlink("nowhere", at("dangling")), os.Mkdir(at("empty"), 0o700), os.Chmod(at("a"), 0o755),
		os.WriteFile(at("program"), nil, 0o600), os.Chmod(at("program"), 0o755|fs.ModeSetuid), os.Chtimes(at("z"), time.Time{}, time.Unix(1, 5)),
	); err != nil {
		t.Fatal(err)
	}
	socket, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", at("s"))
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	want := []string{
		"Dockerfile -rw------- Dockerfile", "a/ drwxr-xr-x", "a/b -rw------- a/b", "a/up Lrwxrwxrwx ../..", "a.b -rw------- a.b",
		"dangling Lrwxrwxrwx nowhere", "empty/ drwx------",
	}
	for n := range 60 {
		want = append(want, strings.Repeat("long/", n+1)+" drwx------")
	}
	deep := strings.Repeat("long/", 60) + "x"
	want = append(want, deep+" -rw------- "+deep, "out Lrwxrwxrwx /etc/shadow", "program urwxr-xr-x", "sub/ drwx------", "z -rwxr-x--x z")
	if diff := cmp.Diff(want, sent(t, dir, "")); diff != "" {
		t.Errorf("sent (-want +got):\n%s", diff)
	}
}

// TestBuildIgnores: what .dockerignore names is not sent, but for the files
// that the build reads itself; one of the Dockerfile's own comes first.
func TestBuildIgnores(t *testing.T) {
	t.Parallel()
	names := func(dir, dockerfile string) string {
		var all []string
		for _, line := range sent(t, dir, dockerfile) {
			name, _, _ := strings.Cut(line, " ")
			all = append(all, name)
		}
		return strings.Join(all, " ")
	}
	write := func(dir, name, content string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	dir := contextDir(t, "out/a", "out/b/c", "src/x", "build/my.Dockerfile", "build/other")
	write(dir, ".dockerignore", "out\n!out/b\nbuild\n")
	if got := names(dir, ""); got != ".dockerignore Dockerfile out/b/ out/b/c src/ src/x" {
		t.Errorf("sent %s", got)
	}
	write(dir, ".dockerignore", "*\n")
	if got := names(dir, "build/my.Dockerfile"); got != ".dockerignore build/my.Dockerfile" {
		t.Errorf("sent %s", got)
	}
	write(dir, "build/my.Dockerfile.dockerignore", "src\nout\n")
	if got := names(dir, "build/my.Dockerfile"); got != ".dockerignore Dockerfile build/ build/my.Dockerfile build/my.Dockerfile.dockerignore build/other" {
		t.Errorf("sent %s", got)
	}
}

// TestBuildArguments: what cannot be built is refused before anything is sent.
func TestBuildArguments(t *testing.T) {
	t.Parallel()
	f := &fake{answer: always(500, "")}
	c := client(t, f)
	dir := contextDir(t, "sub/x")
	outside := contextDir(t)
	if err := errors.Join(
		os.Symlink(filepath.Join(outside, "Dockerfile"), filepath.Join(dir, "link")),
		os.WriteFile(filepath.Join(outside, ".dockerignore"), []byte("a\n[\n"), 0o600),
	); err != nil {
		t.Fatal(err)
	}
	build := func(dir string, change func(*sandboxclient.CaptureSnapshot, *sandboxclient.BuildOptions)) error {
		req, opts := env(), &sandboxclient.BuildOptions{}
		change(req, opts)
		_, err := c.Snapshots.Build(t.Context(), dir, req, opts)
		return err
	}
	dockerfile := func(name string) error {
		return build(dir, func(_ *sandboxclient.CaptureSnapshot, o *sandboxclient.BuildOptions) { o.Dockerfile = name })
	}
	request := func(change func(*sandboxclient.CaptureSnapshot)) error {
		return build(dir, func(r *sandboxclient.CaptureSnapshot, _ *sandboxclient.BuildOptions) { change(r) })
	}
	unchanged := func(*sandboxclient.CaptureSnapshot, *sandboxclient.BuildOptions) {}
	_, none := c.Snapshots.Build(t.Context(), dir, nil, nil)
	for name, err := range map[string]error{
		"no request":         none,
		"no context":         build("", unchanged),
		"missing context":    build(filepath.Join(dir, "none"), unchanged),
		"context is a file":  build(filepath.Join(dir, "Dockerfile"), unchanged),
		"without Dockerfile": build(filepath.Join(dir, "sub"), unchanged),
		"bad pattern":        build(outside, unchanged),
		"missing Dockerfile": dockerfile("none"),
		"directory":          dockerfile("sub"),
		"context itself":     dockerfile("."),
		"above":              dockerfile("../Dockerfile"),
		"absolute":           dockerfile(filepath.Join(dir, "Dockerfile")),
		"outside, by a link": dockerfile("link"),
		"no name":            request(func(r *sandboxclient.CaptureSnapshot) { r.Name = "" }),
		"no disk":            request(func(r *sandboxclient.CaptureSnapshot) { r.FSCapacityBytes = 0 }),
		"image":              request(func(r *sandboxclient.CaptureSnapshot) { r.DockerImage = "i" }),
		"checkpoint":         request(func(r *sandboxclient.CaptureSnapshot) { r.Checkpoint = "c" }),
		"memory":             request(func(r *sandboxclient.CaptureSnapshot) { r.IncludeMemory = true }),
		"settings":           request(func(r *sandboxclient.CaptureSnapshot) { r.Include = []sandboxclient.SnapshotSetting{"all"} }),
		"argument": build(dir, func(_ *sandboxclient.CaptureSnapshot, o *sandboxclient.BuildOptions) {
			o.Args = map[string]string{"a=b": ""}
		}),
		"value": build(dir, func(_ *sandboxclient.CaptureSnapshot, o *sandboxclient.BuildOptions) {
			o.Args = map[string]string{"a": "\x00"}
		}),
		"target": build(dir, func(_ *sandboxclient.CaptureSnapshot, o *sandboxclient.BuildOptions) { o.Target = "\x00" }),
		"builder's templates": build(dir, func(_ *sandboxclient.CaptureSnapshot, o *sandboxclient.BuildOptions) {
			o.Builder.TemplateName, o.Builder.Snapshot = "t", "s"
		}),
	} {
		if !errors.Is(err, sandboxclient.ErrInvalid) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	if err := dockerfile("none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v does not say that the file is not there", err)
	}
	if n := len(f.requests()); n != 0 {
		t.Errorf("%d requests", n)
	}
}

// swallowing is a sandbox that takes a context in and counts it.
type swallowing struct {
	y    *yard
	took int64
}

func (s *swallowing) RoundTrip(req *http.Request) (*http.Response, error) {
	if !strings.HasSuffix(req.URL.Path, "/upload") {
		return s.y.RoundTrip(req)
	}
	defer req.Body.Close()
	n, err := io.Copy(io.Discard, req.Body)
	s.took = n
	return reply(200, `{}`), err
}

// TestBuildContextIsStreamed: memory does not grow with the context. Nothing
// else runs meanwhile, so that it can be measured.
func TestBuildContextIsStreamed(t *testing.T) { //nolint:paralleltest // measures memory
	const size = 256 << 20
	dir := contextDir(t, "large")
	if err := os.Truncate(filepath.Join(dir, "large"), size); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		y := newYard(t)
		s := &swallowing{y: y}
		c, err := sandboxclient.New(
			sandboxclient.WithEnvironment(func(string) string { return "" }), sandboxclient.WithEndpoint(fakeBase),
			sandboxclient.WithAPIKey(fakeKey), sandboxclient.WithHTTPClient(&http.Client{Transport: s}),
		)
		if err != nil {
			t.Fatal(err)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if _, err := c.Snapshots.Build(t.Context(), dir, env(), nil); err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		if used := after.TotalAlloc - before.TotalAlloc; s.took < size || used > 8<<20 {
			t.Errorf("%d bytes sent, %d allocated", s.took, used)
		}
		y.close()
	})
}

// vanishing has a file of the context go away while it is sent.
type vanishing struct {
	y    *yard
	file string
}

func (v *vanishing) RoundTrip(req *http.Request) (*http.Response, error) {
	if !strings.HasSuffix(req.URL.Path, "/upload") {
		return v.y.RoundTrip(req)
	}
	defer req.Body.Close()
	_, err := io.CopyN(io.Discard, req.Body, 100<<10)
	if err = errors.Join(err, os.Remove(v.file)); err != nil {
		return nil, err
	}
	_, err = io.Copy(io.Discard, req.Body)
	return reply(200, `{}`), err
}

// TestBuildContextChanges: a context that cannot be sent whole is not built,
// and the error says what is wrong with it.
func TestBuildContextChanges(t *testing.T) {
	t.Parallel()
	dir := contextDir(t, "a", "z")
	if err := os.Truncate(filepath.Join(dir, "a"), 1<<20); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		y := newYard(t)
		c, err := sandboxclient.New(
			sandboxclient.WithEnvironment(func(string) string { return "" }), sandboxclient.WithEndpoint(fakeBase),
			sandboxclient.WithAPIKey(fakeKey), sandboxclient.WithHTTPClient(&http.Client{Transport: &vanishing{y, filepath.Join(dir, "z")}}),
		)
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Snapshots.Build(t.Context(), dir, env(), nil)
		if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "build context") || !strings.HasSuffix(y.did(), "prepare DELETE") {
			t.Errorf("error %v after %s", err, y.did())
		}
		y.close()
	})
}
