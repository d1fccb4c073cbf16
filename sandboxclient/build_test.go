package sandboxclient_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

// yard is a server that builds: the control plane and the files here, commands
// by the peer. Hooks stand in for what it does otherwise.
type yard struct {
	*peer
	hook  map[string]func(ctx context.Context, body string) (int, string) // by method and last segment of the path
	build func(c *conn)                                                   // the build itself, after its start
	steps []string                                                        // in order
	all   map[string][]string                                             // bodies by step
	live  bool                                                            // the last deletion had a context that lived
	sync.Mutex
}

func newYard(t *testing.T) *yard {
	t.Helper()
	y := &yard{hook: map[string]func(context.Context, string) (int, string){}, all: map[string][]string{}}
	y.build = func(c *conn) { c.send(stdout("built\n", 0), exit(0)) }
	y.peer = newPeer(t, func(c *conn) {
		f := c.recv()
		command, _ := f["command"].(string)
		c.send(started)
		switch {
		case strings.Contains(command, "mktemp"):
			y.note("prepare", command)
			c.send(stdout("/root/dir\n", 0), exit(0))
		case strings.Contains(command, "tar -xpf"):
			y.note("unpack", command)
			c.send(exit(0))
		default:
			y.note("build", command)
			y.build(c)
		}
		c.drain()
	})
	return y
}

func (y *yard) note(step, body string) {
	y.Lock()
	defer y.Unlock()
	y.steps = append(y.steps, step)
	y.all[step] = append(y.all[step], body)
}

// did are the steps so far.
func (y *yard) did() string {
	y.Lock()
	defer y.Unlock()
	return strings.Join(y.steps, " ")
}

// RoundTrip answers all but handshakes.
func (y *yard) RoundTrip(req *http.Request) (*http.Response, error) {
	if strings.HasSuffix(req.URL.Path, "/execute/ws") {
		return y.peer.RoundTrip(req)
	}
	path := strings.Split(req.URL.Path, "/")
	step := req.Method + " " + path[len(path)-1]
	switch {
	case req.Method == http.MethodDelete:
		step = http.MethodDelete
		y.live = req.Context().Err() == nil
	case step == "GET s1":
		step = "wait"
	}
	body := ""
	if req.Body != nil {
		defer req.Body.Close()
		content, err := io.ReadAll(req.Body)
		if err != nil {
			return nil, err
		}
		body = string(content)
	}
	y.note(step, body)
	if hook := y.hook[step]; hook != nil {
		code, answer := hook(req.Context(), body)
		if err := req.Context().Err(); err != nil {
			return nil, err
		}
		return reply(code, answer), nil
	}
	switch step {
	case "POST boxes":
		return reply(201, `{"name":"made","status":"ready","dataplane_url":"https://router.test/sb-1"}`), nil
	case "POST snapshot":
		return reply(201, `{"id":"s1","name":"env","status":"building"}`), nil
	case "wait":
		return reply(200, `{"id":"s1","name":"env","status":"ready"}`), nil
	}
	return reply(200, `{}`), nil
}

func (y *yard) client() *sandboxclient.Client {
	y.t.Helper()
	c, err := sandboxclient.New(
		sandboxclient.WithEnvironment(func(string) string { return "" }),
		sandboxclient.WithEndpoint(fakeBase), sandboxclient.WithAPIKey(fakeKey),
		sandboxclient.WithHTTPClient(&http.Client{Transport: y}),
		sandboxclient.WithRetry(sandboxclient.RetryPolicy{}), sandboxclient.WithCommandPolicy(steady),
	)
	if err != nil {
		y.t.Fatal(err)
	}
	return c
}

// contextDir is a context with a Dockerfile and more files.
func contextDir(t *testing.T, more ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range append(more, "Dockerfile") {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(name), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func env() *sandboxclient.CaptureSnapshot {
	return &sandboxclient.CaptureSnapshot{Name: "env", Tag: "v1", FSCapacityBytes: 1 << 30}
}

const wholeBuild = "POST boxes prepare POST upload unpack build POST snapshot wait DELETE"

// TestBuildSteps: what is asked for, in order, and the log as it comes.
func TestBuildSteps(t *testing.T) {
	t.Parallel()
	dir := contextDir(t, "sub/my.Dockerfile")
	synctest.Test(t, func(t *testing.T) {
		y := newYard(t)
		var log strings.Builder
		y.build = func(c *conn) {
			c.send(stdout("1", 0), stderr("2", 0))
			synctest.Wait()
			if log.String() != "12" {
				t.Errorf("log %q while it builds", log.String())
			}
			c.send(stdout("3", 1), stderr("4", 1), stdout("5", 2), exit(0))
		}
		opts := &sandboxclient.BuildOptions{
			Dockerfile: "./sub/my.Dockerfile", Log: &log, Args: map[string]string{"B": "it's", "A": ""},
			Builder: sandboxclient.CreateSandbox{VCPUs: 4},
		}
		before := *opts
		got, err := y.client().Snapshots.Build(t.Context(), dir, env(), opts)
		if err != nil || got.ID != "s1" || got.Status != sandboxclient.SnapshotReady {
			t.Fatalf("snapshot %v, error %v", got, err)
		}
		if y.did() != wholeBuild || log.String() != "12345" {
			t.Errorf("steps %s\nlog %q", y.did(), log.String())
		}
		create := y.all["POST boxes"][0]
		for _, part := range []string{
			`"name":"snapshot-builder-`, `"vcpus":4`, `"fs_capacity_bytes":1073741824`, `"timeout":60`, `"wait_for_ready":true`,
			`"idle_ttl_seconds":3600`, `"delete_after_stop_seconds":60`,
		} {
			if !strings.Contains(create, part) {
				t.Errorf("the builder is %s, without %s", create, part)
			}
		}
		_, name, _ := strings.Cut(create, "snapshot-builder-")
		if name, _, _ = strings.Cut(name, `"`); len(name) != 12 || strings.Trim(name, "0123456789abcdef") != "" {
			t.Errorf("the builder is called %s", name)
		}
		command := y.all["build"][0]
		_, tag, _ := strings.Cut(command, "/root/dir/context snapshot-build:")
		tag, args, _ := strings.Cut(tag, " ")
		if args != `sub/my.Dockerfile '' 'A=' 'B=it'\''s'` {
			t.Errorf("arguments %s", args)
		}
		if want := `{"docker_image":"snapshot-build:` + tag + `","fs_capacity_bytes":1073741824,"name":"env","tag":"v1"}`; y.all["POST snapshot"][0] != want {
			t.Errorf("captured by %s, want %s", y.all["POST snapshot"][0], want)
		}
		if opts.Builder.Name != before.Builder.Name || opts.Builder.FSCapacityBytes != 0 {
			t.Error("the options were changed")
		}
		y.close()
	})
}

// TestBuildFails: whatever fails ends the build, and the builder is deleted.
func TestBuildFails(t *testing.T) {
	t.Parallel()
	dir := contextDir(t)
	answer := func(code int, body string) func(context.Context, string) (int, string) {
		return func(context.Context, string) (int, string) { return code, body }
	}
	for name, tt := range map[string]struct {
		step  string
		hook  func(context.Context, string) (int, string)
		build func(*conn)
		log   io.Writer
		want  error
		did   string
		text  string
	}{
		"no builder": {step: "POST boxes", hook: answer(503, `{"detail":{"error":"Unschedulable","message":"full"}}`), want: sandboxclient.ErrProvision, did: "POST boxes"},
		"no upload":  {step: "POST upload", hook: answer(507, `{"detail":{"error":"WriteError","message":"full"}}`), want: sandboxclient.ErrOperation, did: "POST boxes prepare POST upload DELETE"},
		"broken": {
			build: func(c *conn) { c.send(stderr("step 1\nno such package\n", 0), exit(17)) },
			want:  sandboxclient.ErrProvision, did: "POST boxes prepare POST upload unpack build DELETE",
			text: "build snapshot: build: exit status 17: no such package",
		},
		"no image":  {step: "POST snapshot", hook: answer(404, `{"detail":"no image"}`), want: sandboxclient.ErrNotFound, did: "POST boxes prepare POST upload unpack build POST snapshot DELETE"},
		"failed":    {step: "wait", hook: answer(200, `{"id":"s1","name":"env","status":"failed","status_message":"disk"}`), want: sandboxclient.ErrProvision, did: wholeBuild, text: "disk"},
		"full disk": {log: fullDisk{}, want: io.ErrShortWrite, did: "POST boxes prepare POST upload unpack build DELETE"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				y := newYard(t)
				y.hook[tt.step] = tt.hook
				if tt.build != nil {
					y.build = tt.build
				}
				got, err := y.client().Snapshots.Build(t.Context(), dir, env(), &sandboxclient.BuildOptions{Log: tt.log})
				if got != nil || !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.text) {
					t.Errorf("snapshot %v, error %v, want %v", got, err, tt.want)
				}
				if y.did() != tt.did {
					t.Errorf("steps %s, want %s", y.did(), tt.did)
				}
				y.close()
			})
		})
	}
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, io.ErrShortWrite }

// TestBuildCancelled: the builder is deleted although the context has ended,
// wherever that happens.
func TestBuildCancelled(t *testing.T) {
	t.Parallel()
	dir := contextDir(t)
	for _, at := range []string{"POST boxes", "POST upload", "build", "POST snapshot", "wait"} {
		t.Run(at, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				y := newYard(t)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				y.hook[at] = func(ctx context.Context, _ string) (int, string) {
					cancel()
					<-ctx.Done()
					return 0, ""
				}
				y.build = func(c *conn) {
					if at != "build" {
						c.send(exit(0))
						return
					}
					cancel()
					if !c.until("kill") {
						t.Error("the build was not killed")
					}
					c.send(exit(137))
				}
				_, err := y.client().Snapshots.Build(ctx, dir, env(), nil)
				if !errors.Is(err, context.Canceled) {
					t.Errorf("error %v", err)
				}
				if !strings.HasSuffix(y.did(), " DELETE") || !y.live {
					t.Errorf("steps %s, deleted with a live context: %t", y.did(), y.live)
				}
				y.close()
			})
		})
	}
}

// TestBuildPanics: a writer that panics does so in the goroutine of the caller,
// and not before the builder is deleted.
func TestBuildPanics(t *testing.T) {
	t.Parallel()
	dir := contextDir(t)
	synctest.Test(t, func(t *testing.T) {
		y := newYard(t)
		func() {
			defer func() {
				if v := recover(); v != "the log" || !strings.HasSuffix(y.did(), "build DELETE") {
					t.Errorf("panic %v after %s", v, y.did())
				}
			}()
			_, err := y.client().Snapshots.Build(t.Context(), dir, env(), &sandboxclient.BuildOptions{Log: panicking{}})
			t.Errorf("error %v", err)
		}()
		y.close()
	})
}

type panicking struct{}

func (panicking) Write([]byte) (int, error) { panic("the log") }

// TestBuildLeaves: a builder that cannot be deleted is told of, beside the
// snapshot that was made.
func TestBuildLeaves(t *testing.T) {
	t.Parallel()
	dir := contextDir(t)
	synctest.Test(t, func(t *testing.T) {
		y := newYard(t)
		y.hook[http.MethodDelete] = func(context.Context, string) (int, string) { return 500, `{"detail":"stuck"}` }
		wait := &sandboxclient.WaitOptions{NoWait: true, Interval: time.Minute}
		got, err := y.client().Snapshots.Build(t.Context(), dir, env(), &sandboxclient.BuildOptions{Wait: wait})
		if got == nil || got.Status != sandboxclient.SnapshotReady || !errors.Is(err, sandboxclient.ErrServer) {
			t.Errorf("snapshot %v, error %v", got, err)
		}
		y.close()
	})
}

// TestBuildLogBlocks: a writer that never returns does not hold the end of a
// build up.
func TestBuildLogBlocks(t *testing.T) {
	t.Parallel()
	dir := contextDir(t)
	synctest.Test(t, func(t *testing.T) {
		y := newYard(t)
		y.build = func(c *conn) {
			c.send(stdout("1", 0))
			if c.until("kill") {
				c.send(exit(137))
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		log := &blocking{make(chan struct{})}
		_, err := y.client().Snapshots.Build(ctx, dir, env(), &sandboxclient.BuildOptions{Log: log})
		if !errors.Is(err, context.DeadlineExceeded) || !strings.HasSuffix(y.did(), "build DELETE") {
			t.Errorf("error %v after %s", err, y.did())
		}
		close(log.c)
		y.close()
	})
}

type blocking struct{ c chan struct{} }

func (b *blocking) Write(p []byte) (int, error) {
	<-b.c
	return len(p), nil
}
