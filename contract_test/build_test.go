package contract_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/langsandbox/sandbox-go/sandboxclient"
	"github.com/langsandbox/sandbox-go/sandboxtest"
)

// A build runs whole against the local server, but for the capture of the
// image: one machine has no Docker to take it from. BuildKit and Docker are
// scripts in the context that tell what they were given.
const (
	fakeBuildctl = `#!/bin/sh
echo "buildctl $*" >&2
[ "$1" = debug ] && exit 1
LC_ALL=C find . -printf '%P %y %#m %l\n' | LC_ALL=C sort >&2
cat Dockerfile >&2
if [ -e broken ]; then echo 'the build is broken' >&2; exit 3; fi
echo image
`
	fakeDocker = `#!/bin/sh
echo "docker $* <$(cat)>"
`
)

// captures stands between client and server, and captures images itself.
type captures struct {
	next http.RoundTripper

	mu      sync.Mutex
	request string
}

func (c *captures) RoundTrip(req *http.Request) (*http.Response, error) {
	var body string
	switch path := req.URL.Path; {
	case req.Method == http.MethodPost && strings.HasSuffix(path, "/snapshot"):
		sent, err := io.ReadAll(req.Body)
		if err != nil {
			return nil, err
		}
		c.mu.Lock()
		c.request = string(sent)
		c.mu.Unlock()
		body = `{"id":"s1","name":"env","status":"ready"}`
	case req.Method == http.MethodGet && strings.HasSuffix(path, "/snapshots/s1"):
		body = `{"id":"s1","name":"env","status":"ready","docker_image":"built"}`
	default:
		return c.next.RoundTrip(req)
	}
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: req}, nil
}

// contextOf writes the files of a context.
func contextOf(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, name)
		mode := os.FileMode(0o640)
		if strings.HasPrefix(content, "#!") {
			mode = 0o755
		}
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), mode), os.Chmod(path, mode)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestBuild(t *testing.T) {
	t.Parallel()
	dir := contextOf(t, map[string]string{
		"Dockerfile":     "FROM scratch\n",
		"bin/buildctl":   fakeBuildctl,
		"bin/docker":     fakeDocker,
		"src/main.go":    "package main\n",
		"src/old/x":      "",
		"src/.git":       "gitdir: elsewhere",
		".git/config":    "[core]",
		".dockerignore":  "# build\nsrc/old\n*.log\n!keep.log\n",
		"a.log":          "",
		"keep.log":       "",
		"a name's\n'end": "",
	})
	if err := errors.Join(os.Symlink("/etc/passwd", filepath.Join(dir, "link")), os.Symlink("main.go", filepath.Join(dir, "src", "self"))); err != nil {
		t.Fatal(err)
	}
	capture := &captures{next: http.DefaultTransport}
	c, _ := sandboxtest.New(t, sandboxtest.WithClient(sandboxclient.WithHTTPClient(&http.Client{Transport: capture})))
	var log bytes.Buffer
	opts := &sandboxclient.BuildOptions{
		Log: &log, Target: "last", Args: map[string]string{"B": "two words", "A": "$HOME"},
		Builder: sandboxclient.CreateSandbox{EnvVars: map[string]string{"PATH": "bin:/usr/bin:/bin"}},
	}
	snapshot, err := c.Snapshots.Build(t.Context(), dir, &sandboxclient.CaptureSnapshot{Name: "env", FSCapacityBytes: 1 << 30}, opts)
	if err != nil {
		t.Fatalf("%v\n%s", err, &log)
	}
	if snapshot.ID != "s1" || snapshot.DockerImage != "built" {
		t.Errorf("snapshot %+v", snapshot)
	}
	tag := tagOf(t, capture.request)
	want := `buildctl build --progress=plain --frontend=dockerfile.v0 --local context=. --local dockerfile=. --opt filename=Dockerfile ` +
		`--opt build-arg:A=$HOME --opt build-arg:B=two words --opt target=last --output type=docker,name=` + tag + `
 d 0755 
'end f 0640 
.dockerignore f 0640 
Dockerfile f 0640 
a name's
bin d 0755 
bin/buildctl f 0755 
bin/docker f 0755 
keep.log f 0640 
link l 0777 /etc/passwd
src d 0755 
src/main.go f 0640 
src/self l 0777 main.go
FROM scratch
docker load <image>
`
	if diff := cmp.Diff(want, log.String()); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
	if left := collect(t, c.List(t.Context(), nil)); len(left) != 0 {
		t.Errorf("%d sandboxes are left", len(left))
	}
}

// tagOf is the image that was captured.
func tagOf(t *testing.T, request string) string {
	t.Helper()
	_, rest, _ := strings.Cut(request, `"docker_image":"`)
	tag, rest, ok := strings.Cut(rest, `"`)
	if !ok || !strings.HasPrefix(tag, "snapshot-build:") || !strings.Contains(rest, `"fs_capacity_bytes":1073741824`) {
		t.Errorf("captured by %s", request)
	}
	return tag
}

// TestBuildBreaks: the error tells what BuildKit said, and nothing is left.
func TestBuildBreaks(t *testing.T) {
	t.Parallel()
	dir := contextOf(t, map[string]string{"Dockerfile": "", "bin/buildctl": fakeBuildctl, "bin/docker": fakeDocker, "broken": ""})
	c, _ := sandboxtest.New(t)
	req := &sandboxclient.CaptureSnapshot{Name: "env", FSCapacityBytes: 1 << 30}
	path := sandboxclient.CreateSandbox{EnvVars: map[string]string{"PATH": "bin:/usr/bin:/bin"}}
	_, err := c.Snapshots.Build(t.Context(), dir, req, &sandboxclient.BuildOptions{Builder: path})
	is(t, err, sandboxclient.ErrProvision)
	exit, failed := errors.AsType[*sandboxclient.ExitError](err)
	if !failed || exit.Code != 3 || !strings.HasSuffix(err.Error(), "exit status 3: the build is broken") {
		t.Errorf("error %v", err)
	}
	if build, ok := errors.AsType[*sandboxclient.BuildError](err); !ok || build.Step != "build" || !strings.Contains(build.Log, "the build is broken\n") {
		t.Errorf("error %#v", err)
	}

	path.EnvVars["PATH"] = "/nowhere"
	_, err = c.Snapshots.Build(t.Context(), dir, req, &sandboxclient.BuildOptions{Builder: path})
	if build, ok := errors.AsType[*sandboxclient.BuildError](err); !ok || build.Step != "prepare" || !strings.Contains(build.Log, "bash") {
		t.Errorf("error %v of a builder without programs", err)
	}
	if left := collect(t, c.List(t.Context(), nil)); len(left) != 0 {
		t.Errorf("%d sandboxes are left", len(left))
	}
}

// TestBuildTools: without a daemon buildctl brings its own, without buildctl
// Docker's BuildKit builds, and without that the error says what is missing.
func TestBuildTools(t *testing.T) {
	t.Parallel()
	const (
		argsOf   = "#!/bin/sh\necho \"${0##*/} $*\" >&2\n"
		daemon   = argsOf + `[ "$1" != debug ]`
		buildx   = argsOf
		noBuildx = "#!/bin/sh\nexit 1\n"
	)
	for name, tt := range map[string]struct {
		bin  map[string]string
		want string // but for the tag
		fail string
	}{
		"daemonless": {
			bin: map[string]string{"buildctl": daemon, "buildctl-daemonless.sh": argsOf, "docker": argsOf + "cat >/dev/null"},
			want: "buildctl-daemonless.sh build --progress=plain --frontend=dockerfile.v0 --local context=. --local dockerfile=sub " +
				"--opt filename=my.Dockerfile --opt build-arg:A=b --output type=docker,name=TAG",
		},
		"buildx": {
			bin:  map[string]string{"docker": buildx},
			want: "docker buildx build --progress=plain --load --tag TAG --file sub/my.Dockerfile --build-arg A=b .",
		},
		"no room": {
			bin:  map[string]string{"buildctl": daemon + " && exec yes", "docker": "#!/bin/sh\necho no room for the image >&2\nexit 5\n"},
			fail: "exit status 5: no room for the image",
		},
		"neither": {bin: map[string]string{"docker": noBuildx}, fail: "exit status 127: the builder has neither buildctl nor docker buildx"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			files := map[string]string{"sub/my.Dockerfile": ""}
			for tool, script := range tt.bin {
				files["bin/"+tool] = script
			}
			capture := &captures{next: http.DefaultTransport}
			c, _ := sandboxtest.New(t, sandboxtest.WithClient(sandboxclient.WithHTTPClient(&http.Client{Transport: capture})))
			var log bytes.Buffer
			_, err := c.Snapshots.Build(t.Context(), contextOf(t, files), &sandboxclient.CaptureSnapshot{Name: "env", FSCapacityBytes: 1 << 30},
				&sandboxclient.BuildOptions{
					Log: &log, Dockerfile: "sub/my.Dockerfile", Args: map[string]string{"A": "b"},
					Builder: sandboxclient.CreateSandbox{EnvVars: map[string]string{"PATH": "bin:/usr/bin:/bin"}},
				})
			if tt.fail != "" {
				if err == nil || !strings.HasSuffix(err.Error(), tt.fail) {
					t.Errorf("error %v, want %s", err, tt.fail)
				}
				return
			}
			if err != nil {
				t.Fatalf("%v\n%s", err, &log)
			}
			if want := strings.ReplaceAll(tt.want, "TAG", tagOf(t, capture.request)); !strings.Contains(log.String(), want+"\n") {
				t.Errorf("log without %s:\n%s", want, &log)
			}
		})
	}
}
