package contract_test

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/langsandbox/sandbox-go/internal/imagetest"
	"github.com/langsandbox/sandbox-go/internal/runtime"
	"github.com/langsandbox/sandbox-go/sandboxclient"
	"github.com/langsandbox/sandbox-go/sandboxserver"
)

// system is the layer of a small system with a few users.
func system(t *testing.T) []imagetest.Entry {
	t.Helper()
	return append(imagetest.Programs(t, "sh", "id", "env", "cat", "stat", "pwd", "touch"),
		imagetest.File("etc/passwd", "root:x:0:0::/root:/bin/sh\napp:x:1000:1001::/home/app:/bin/sh\nother:x:1002:1002::/home/other:/bin/sh\n"),
		imagetest.File("etc/group", "root:x:0:\napp:x:1001:\nother:x:1002:\nmore:x:1003:app\n"),
		imagetest.Dir("home/app", 1000))
}

// imageServer is a server that pulls images; users says whether its sandboxes
// have more than one.
func imageServer(t *testing.T, cfg sandboxserver.Config) (s *localServer, users bool) {
	t.Helper()
	report := runtime.Probe(t.TempDir(), "")
	if report.Isolation != runtime.IsolationNative || !report.Features.WritableUsr {
		t.Skipf("no root of their own for images: %v", report.Reason)
	}
	cfg.PullImages = true
	return startServer(t, "/v2/sandboxes", cfg), report.Features.IDs > 1
}

func (s *localServer) template(t *testing.T, name, image, registry string) {
	t.Helper()
	_, err := s.c.Templates.Create(t.Context(), &sandboxclient.CreateTemplate{Name: name, Image: image, RegistryName: registry})
	if err != nil {
		t.Fatal(err)
	}
}

// prints runs a script in a sandbox.
func prints(t *testing.T, sb *sandboxclient.Sandbox, script string) string {
	t.Helper()
	res, err := sb.Execute(t.Context(), script, nil)
	if err != nil {
		t.Fatal(err)
	}
	if res.ExitCode != 0 {
		t.Fatalf("%s: %+v", script, res)
	}
	return strings.TrimSpace(res.Stdout)
}

// TestImageOfATemplate: commands run as the image says, and as whom they are
// asked to.
func TestImageOfATemplate(t *testing.T) {
	t.Parallel()
	shelf := imagetest.NewRegistry(t)
	reference := shelf.Push(t, "app:1", v1.Config{User: "app", WorkingDir: "/work/here", Env: []string{"GREETING=hello"}}, system(t))
	s, users := imageServer(t, sandboxserver.Config{})
	s.template(t, "app", reference, "")
	sb := ok[*sandboxclient.Sandbox](t)(s.c.Create(t.Context(), &sandboxclient.CreateSandbox{TemplateName: "app"}))
	const who = "echo $(id -u):$(id -g):$(id -G) $PWD $HOME $USER $GREETING"
	want := "1000:1001:1001 1003 /work/here /home/app app hello"
	if !users {
		want = "0:0:" // and the groups of whoever runs this
	}
	if got := prints(t, sb, who); !strings.HasPrefix(got, want) {
		t.Errorf("as the image says: %q", got)
	}
	if err := sb.WriteFile(t.Context(), "note", []byte("x")); err != nil {
		t.Fatal(err)
	}
	if got := prints(t, sb, "cat /work/here/note"); got != "x" {
		t.Errorf("file %q", got)
	}
	asking := func(user string) *sandboxclient.CreateSandbox {
		return &sandboxclient.CreateSandbox{TemplateName: "app", RunConfig: sandboxclient.RunConfig{User: user}}
	}
	root := ok[*sandboxclient.Sandbox](t)(s.c.Create(t.Context(), asking("root")))
	if got := prints(t, root, who); !strings.HasPrefix(got, "0:0:") || !strings.HasSuffix(got, "/work/here /root root hello") {
		t.Errorf("as root: %q", got)
	}
	if !users {
		_, err := s.c.Create(t.Context(), asking("other"))
		is(t, err, sandboxclient.ErrUnsupported)
		return
	}
	for user, want := range map[string]string{
		"other": "1002:1002:1002 /work/here /home/other other hello", "app:other": "1000:1002:1002 /work/here /home/app app hello",
		"1002": "1002:1002:1002 /work/here /home/other other hello", "7:8": "7:8:8 /work/here / hello",
	} {
		sb := ok[*sandboxclient.Sandbox](t)(s.c.Create(t.Context(), asking(user)))
		if got := prints(t, sb, who); got != want {
			t.Errorf("as %s: %q", user, got)
		}
		if err := sb.Delete(t.Context()); err != nil {
			t.Error(err)
		}
	}
	for _, user := range []string{"nobody-knows", "app:nobody-knows", "70000"} {
		_, err := s.c.Create(t.Context(), asking(user))
		is(t, err, sandboxclient.ErrProvision)
		wantCode(t, err, 422, "SandboxConfig", user)
	}
}

func wantCode(t *testing.T, err error, status int, code string, words ...string) {
	t.Helper()
	api, found := errors.AsType[*sandboxclient.APIError](err)
	if !found || api.StatusCode != status || api.Code != code {
		t.Errorf("error %v, want status %d and code %s", err, status, code)
		return
	}
	for _, word := range words {
		if !strings.Contains(api.Message, word) {
			t.Errorf("message %q lacks %q", api.Message, word)
		}
	}
}

// TestImageTrust: a certificate is found in an image that has no place for it,
// by a user that may not make one.
func TestImageTrust(t *testing.T) {
	t.Parallel()
	shelf := imagetest.NewRegistry(t)
	reference := shelf.Push(t, "app:1", v1.Config{User: "app"}, system(t))
	s, _ := imageServer(t, sandboxserver.Config{Egress: sandboxserver.Egress{Allow: []string{"*"}}})
	s.template(t, "app", reference, "")
	secret := sandboxclient.ProxyConfig{Rules: []sandboxclient.ProxyRule{{
		Name: "r", MatchHosts: []string{"api.example"}, Headers: []sandboxclient.ProxyHeader{{Name: "X-A", Type: "plaintext", Value: "b"}},
	}}}
	sb := ok[*sandboxclient.Sandbox](t)(s.c.Create(t.Context(), &sandboxclient.CreateSandbox{TemplateName: "app", ProxyConfig: secret}))
	got := prints(t, sb, `cat "$SSL_CERT_FILE"`)
	if !strings.Contains(got, "-----BEGIN CERTIFICATE-----") {
		t.Errorf("trusted: %q", got)
	}
	if got := prints(t, sb, `stat -c '%U %a' "$SSL_CERT_FILE"; touch "$SSL_CERT_FILE" 2>/dev/null || echo kept`); !strings.HasPrefix(got, "root 644") {
		t.Errorf("the file is %q", got)
	}
}

// TestImageOfASnapshot: a sandbox keeps to the image it was made of, and so do
// captures of it, wherever the tag points later.
func TestImageOfASnapshot(t *testing.T) {
	t.Parallel()
	shelf := imagetest.NewRegistry(t)
	base := system(t)
	reference := shelf.Push(t, "app:1", v1.Config{WorkingDir: "/srv"}, base, []imagetest.Entry{imagetest.File("version", "old")})
	s, _ := imageServer(t, sandboxserver.Config{})
	snapshot := ok[*sandboxclient.Snapshot](t)
	made := snapshot(s.c.Snapshots.Create(t.Context(), &sandboxclient.CreateSnapshot{Name: "app", DockerImage: reference, FSCapacityBytes: 1 << 30}, nil))
	if made.Status != sandboxclient.SnapshotReady || made.ImageDigest == "" {
		t.Fatalf("snapshot %+v", made)
	}
	sandbox := ok[*sandboxclient.Sandbox](t)
	first := sandbox(s.c.Create(t.Context(), &sandboxclient.CreateSandbox{Snapshot: "app"}))
	before := shelf.Blobs()
	shelf.Push(t, "app:1", v1.Config{}, base, []imagetest.Entry{imagetest.File("version", "new")})
	if got := prints(t, first, "pwd; cat /version; echo mine > /srv/note"); got != "/srv\nold" {
		t.Errorf("%q", got)
	}
	if err := errors.Join(first.Stop(t.Context()), first.Start(t.Context(), nil)); err != nil {
		t.Fatal(err)
	}
	captured := snapshot(first.Capture(t.Context(), &sandboxclient.CaptureSnapshot{Name: "mine"}, nil))
	clone := sandbox(s.c.Create(t.Context(), &sandboxclient.CreateSandbox{SnapshotID: captured.ID}))
	for _, sb := range []*sandboxclient.Sandbox{first, clone} {
		if got := prints(t, sb, "cat /version /srv/note"); got != "oldmine" {
			t.Errorf("%q", got)
		}
	}
	if after := shelf.Blobs(); after != before {
		t.Errorf("%d downloads of what was there", after-before)
	}
	again := snapshot(s.c.Snapshots.Create(t.Context(), &sandboxclient.CreateSnapshot{Name: "again", DockerImage: reference, FSCapacityBytes: 1 << 30}, nil))
	if got := prints(t, sandbox(s.c.Create(t.Context(), &sandboxclient.CreateSandbox{SnapshotID: again.ID})), "cat /version"); got != "new" {
		t.Errorf("the tag now is %q", got)
	}
	if got := shelf.Blobs() - before; got != 2 { // configuration and upper layer
		t.Errorf("%d downloads for one new layer", got)
	}
}

// TestImageRegistries: credentials open a registry, and are told to nobody.
func TestImageRegistries(t *testing.T) {
	t.Parallel()
	shelf := imagetest.NewRegistry(t)
	reference := shelf.Push(t, "private:1", v1.Config{}, system(t))
	shelf.Lock("me", "hidden-word")
	var log syncBuffer
	s, _ := imageServer(t, sandboxserver.Config{Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	for name, password := range map[string]string{"right": "hidden-word", "wrong": "other-word"} {
		_, err := s.c.Registries.Create(t.Context(), &sandboxclient.CreateRegistry{Name: name, URL: "http://" + shelf.Host, Username: "me", Password: password})
		if err != nil {
			t.Fatal(err)
		}
		s.template(t, name, reference, name)
	}
	s.template(t, "nobody", reference, "")
	sb := ok[*sandboxclient.Sandbox](t)(s.c.Create(t.Context(), &sandboxclient.CreateSandbox{TemplateName: "right"}))
	prints(t, sb, "id")
	for _, template := range []string{"wrong", "nobody"} {
		_, err := s.c.Create(t.Context(), &sandboxclient.CreateSandbox{TemplateName: template})
		is(t, err, sandboxclient.ErrProvision)
		wantCode(t, err, 422, "ImagePull", reference, "refuses access")
		fmt.Fprintln(&log, err)
	}
	for _, word := range []string{"hidden-word", "other-word"} {
		if strings.Contains(log.String(), word) {
			t.Errorf("a password is told: %s", log.String())
		}
	}
}

// TestImageProblems: what cannot be had, or not be started, is told apart.
func TestImageProblems(t *testing.T) {
	t.Parallel()
	shelf := imagetest.NewRegistry(t)
	closed, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := closed.Addr().String()
	closed.Close()
	s, _ := imageServer(t, sandboxserver.Config{})
	for name, test := range map[string]struct {
		image, code string
		words       []string
	}{
		"no-tag":      {shelf.Host + "/app:none", "ImagePull", []string{"not found", "app:none"}},
		"unreachable": {nobody + "/app:1", "ImagePull", []string{"not available", nobody}},
		"no-user":     {shelf.Push(t, "user:1", v1.Config{User: "ghost"}, system(t)), "ImagePull", []string{"ghost", "/etc/passwd"}},
		"bad-proc":    {shelf.Push(t, "proc:1", v1.Config{}, []imagetest.Entry{imagetest.Link("proc", "/tmp")}), "CrashLoop", []string{"/proc"}},
		"bad-dir":     {shelf.Push(t, "dir:1", v1.Config{WorkingDir: "/file/below"}, []imagetest.Entry{imagetest.File("file", "x")}), "CrashLoop", []string{"/file"}},
	} {
		s.template(t, name, test.image, "")
		_, err := s.c.Create(t.Context(), &sandboxclient.CreateSandbox{TemplateName: name, Name: name})
		is(t, err, sandboxclient.ErrProvision)
		wantCode(t, err, 422, test.code, test.words...)
		_, err = s.c.Get(t.Context(), name)
		is(t, err, sandboxclient.ErrNotFound)
	}
	// Nothing has to run in a sandbox but what is asked for.
	s.template(t, "empty", shelf.Push(t, "empty:1", v1.Config{Entrypoint: []string{"/none"}}, []imagetest.Entry{imagetest.File("data", "x")}), "")
	sb := ok[*sandboxclient.Sandbox](t)(s.c.Create(t.Context(), &sandboxclient.CreateSandbox{TemplateName: "empty"}))
	_, err = sb.Execute(t.Context(), "true", nil)
	wantCode(t, err, 400, "CommandError", "/bin/bash", "does not exist")
	if data, err := sb.ReadFile(t.Context(), "/data"); err != nil || string(data) != "x" {
		t.Errorf("%q, %v", data, err)
	}
}

// TestImageOnce: sandboxes that start at once pull their image once.
func TestImageOnce(t *testing.T) {
	t.Parallel()
	shelf := imagetest.NewRegistry(t)
	reference := shelf.Push(t, "app:1", v1.Config{}, system(t))
	s, _ := imageServer(t, sandboxserver.Config{})
	s.template(t, "app", reference, "")
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			if _, err := s.c.Create(t.Context(), &sandboxclient.CreateSandbox{TemplateName: "app"}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := shelf.Blobs(); n > 1+4 { // each reads the configuration
		t.Errorf("%d downloads", n)
	}
}

// TestImageBrokenOff: a pull ends with the time that a sandbox has to start,
// and with the sandbox.
func TestImageBrokenOff(t *testing.T) {
	t.Parallel()
	shelf := imagetest.NewRegistry(t)
	reference := shelf.Push(t, "app:1", v1.Config{}, system(t))
	began, ended := make(chan struct{}, 8), make(chan struct{}, 8)
	shelf.Before(func(_ http.ResponseWriter, r *http.Request) bool {
		if !strings.Contains(r.URL.Path, "/blobs/") {
			return true
		}
		began <- struct{}{}
		<-r.Context().Done()
		ended <- struct{}{}
		return false
	})
	s, _ := imageServer(t, sandboxserver.Config{})
	s.template(t, "app", reference, "")
	_, err := s.c.Create(t.Context(), &sandboxclient.CreateSandbox{TemplateName: "app", Timeout: 1})
	is(t, err, sandboxclient.ErrTimeout)
	<-ended
	<-began
	sb := ok[*sandboxclient.Sandbox](t)(s.c.Create(t.Context(), &sandboxclient.CreateSandbox{TemplateName: "app", WaitForReady: new(false)}))
	<-began
	if err := sb.Delete(t.Context()); err != nil {
		t.Error(err)
	}
	<-ended
	shelf.Before(nil)
	prints(t, ok[*sandboxclient.Sandbox](t)(s.c.Create(t.Context(), &sandboxclient.CreateSandbox{TemplateName: "app"})), "id")
}

// TestImageCache: images nobody uses make room, others do not.
func TestImageCache(t *testing.T) {
	t.Parallel()
	shelf := imagetest.NewRegistry(t)
	small := system(t)
	filler := func(name string) []imagetest.Entry {
		return append(slices.Clone(small), imagetest.File(name, strings.Repeat(name, 8<<20/len(name))))
	}
	s, _ := imageServer(t, sandboxserver.Config{ImageCacheBytes: 24 << 20})
	for _, name := range []string{"one", "two", "six"} {
		s.template(t, name, shelf.Push(t, name+":1", v1.Config{}, filler(name)), "")
	}
	create := func(name string) (*sandboxclient.Sandbox, error) {
		return s.c.Create(t.Context(), &sandboxclient.CreateSandbox{TemplateName: name})
	}
	first := ok[*sandboxclient.Sandbox](t)(create("one"))
	_, err := create("two")
	if err == nil {
		_, err = create("six")
	}
	is(t, err, sandboxclient.ErrProvision)
	wantCode(t, err, 503, "Unschedulable", "no space")
	prints(t, first, "cat /one > /dev/null")
	if err := first.Delete(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := create("six"); err != nil {
		t.Errorf("with room again: %v", err)
	}
}

// syncBuffer is a buffer that a server may write to.
type syncBuffer struct {
	mu  sync.Mutex
	all strings.Builder
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.all.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.all.String()
}
