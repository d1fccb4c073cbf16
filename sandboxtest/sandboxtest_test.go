package sandboxtest_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/langsandbox/sandbox-go/sandboxclient"
	"github.com/langsandbox/sandbox-go/sandboxserver"
	"github.com/langsandbox/sandbox-go/sandboxtest"
)

func TestNew(t *testing.T) {
	t.Parallel()
	client, server := sandboxtest.New(t)
	sandbox, err := client.Create(t.Context(), &sandboxclient.CreateSandbox{})
	if err != nil {
		t.Fatal(err)
	}
	result, err := sandbox.Execute(t.Context(), "echo $((2+2))", nil)
	if err != nil || result.Stdout != "4\n" {
		t.Fatalf("%+v, %v", result, err)
	}
	if !strings.HasPrefix(server.Endpoint, "http://127.0.0.1:") || server.APIKey() == "" {
		t.Errorf("%+v", server)
	}
}

func TestEverythingIsGoneAfterwards(t *testing.T) {
	var server *sandboxtest.Server
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	t.Run("inner", func(t *testing.T) {
		var client *sandboxclient.Client
		client, server = sandboxtest.New(t)
		if _, err := client.Create(t.Context(), &sandboxclient.CreateSandbox{Name: "left"}); err != nil {
			t.Fatal(err)
		}
	})
	address := strings.TrimSuffix(strings.TrimPrefix(server.Endpoint, "http://"), "/v2/sandboxes")
	if conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", address); err == nil {
		_ = conn.Close()
		t.Error("the server still answers")
	}
	left, err := filepath.Glob(filepath.Join(temp, "langsandbox-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("%v %v", left, err)
	}
}

func TestOptions(t *testing.T) {
	t.Setenv("LANGSMITH_API_KEY", "not this one")
	client, server := sandboxtest.New(t,
		sandboxtest.WithConfig(func(c *sandboxserver.Config) { c.Limits.Sandboxes = 1 }),
		sandboxtest.WithConfig(func(c *sandboxserver.Config) { c.APIKey = "mine" }),
		sandboxtest.WithClient(sandboxclient.WithUserAgent("test", "1")),
	)
	if server.APIKey() != "mine" {
		t.Errorf("key %q", server.APIKey())
	}
	usage, err := client.Usage.Get(t.Context())
	if err != nil || usage.SandboxesLimit != 1 {
		t.Errorf("%+v, %v", usage, err)
	}
}

// recorder is a test that notes what happens to it.
type recorder struct {
	testing.TB
	mu       sync.Mutex
	logs     []string
	errors   []string
	failed   bool
	cleanups []func()
}

func (r *recorder) Helper()          {}
func (r *recorder) Cleanup(f func()) { r.cleanups = append(r.cleanups, f) }
func (r *recorder) Log(args ...any)  { r.logs = append(r.logs, fmt.Sprint(args...)) }

func (r *recorder) Logf(format string, args ...any) { r.Log(fmt.Sprintf(format, args...)) }

func (r *recorder) Failed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failed
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	panic(r)
}

func (r *recorder) Errorf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failed, r.errors = true, append(r.errors, fmt.Sprintf(format, args...))
}

func (r *recorder) end() {
	for _, f := range slices.Backward(r.cleanups) {
		f()
	}
}

func TestMissingIsolationIsLogged(t *testing.T) {
	t.Parallel()
	r := &recorder{TB: t}
	sandboxtest.New(r, sandboxtest.WithConfig(func(c *sandboxserver.Config) { c.Isolation = sandboxserver.IsolationProcess }))
	r.end()
	if r.failed || len(r.logs) != 1 || !strings.Contains(r.logs[0], "without isolation") {
		t.Errorf("%+v", r)
	}
}

func TestServerThatDoesNotStart(t *testing.T) {
	t.Parallel()
	r := &recorder{TB: t}
	func() {
		defer func() { _ = recover() }()
		sandboxtest.New(r, sandboxtest.WithConfig(func(c *sandboxserver.Config) { c.Dir = os.Args[0] }))
	}()
	r.end()
	if !r.failed {
		t.Error("the test goes on without a server")
	}
}
