//go:build unix

package sandboxserver

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/langsandbox/sandbox-go/gen"
	"github.com/langsandbox/sandbox-go/internal/runtime"
)

// ociRuntime is what the tests of containers use: runsc if it is on PATH, or
// what a variable names.
func ociRuntime() string { return cmp.Or(os.Getenv("SANDBOX_TEST_OCI_RUNTIME"), "runsc") }

// isolations are what this host can do, weakest first.
func isolations(t *testing.T) []Isolation {
	report := runtime.Probe(t.TempDir(), ociRuntime())
	if report.Isolation == "" {
		t.Fatal("no runtime works here: ", report.Reason)
	}
	var classes []Isolation
	for _, r := range slices.Backward(report.Rungs) {
		if class := Isolation(r.Step.Class()); r.Works && !slices.Contains(classes, class) {
			classes = append(classes, class)
		}
	}
	return classes
}

// eachIsolation runs a test on real processes, once for each isolation the host has.
func eachIsolation(t *testing.T, test func(*bench), change ...func(*Config)) {
	for _, isolation := range isolations(t) {
		t.Run(string(isolation), func(t *testing.T) {
			t.Parallel()
			cfg := Config{APIKey: testKey, Isolation: isolation, MinIsolation: isolation}
			if isolation == IsolationOCI {
				cfg.Isolation, cfg.OCIRuntime = "", ociRuntime()
			}
			for _, f := range change {
				f(&cfg)
			}
			server, err := New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := server.Close(); err != nil {
					t.Error(err)
				}
				if _, err := os.Stat(server.engine.dir); server.temp != nil && !os.IsNotExist(err) {
					t.Errorf("data directory is left: %v", err)
				}
			})
			if server.Isolation() != isolation {
				t.Fatalf("isolation is %q", server.Isolation())
			}
			test(&bench{t: t, server: server})
		})
	}
}

func TestCommandsAndFilesSeeTheSame(t *testing.T) {
	t.Parallel()
	eachIsolation(t, func(b *bench) {
		s := b.box(map[string]any{})
		if a := b.upload(s, "x%2Fhello+there.txt", "hello\n"); a.status != 200 {
			b.t.Fatal(a)
		}
		got := b.run(s, `cat "x/hello there.txt"; echo oops >&2; exit 3`)
		if got.Stdout != "hello\n" || got.Stderr != "oops\n" || *got.ExitCode != 3 {
			b.t.Fatalf("%+v %d", got, *got.ExitCode)
		}
		b.run(s, `printf 'from inside' > out`)
		a := b.do(request("GET", dataplane(s)+"//download?path=out", nil))
		if a.status != 200 || a.body != "from inside" {
			b.t.Fatal(a)
		}
		b.want(204, "DELETE", "/boxes/"+s.Name, nil)
		b.refused(b.execute(s, map[string]any{"command": "true"}), 404, codeNotFound)
	})
}

func TestVolumeOutlivesSandboxes(t *testing.T) {
	t.Parallel()
	eachIsolation(t, func(b *bench) {
		b.want(201, "POST", "/volumes", map[string]any{"name": "data", "size": "1Gi"})
		b.template("keeper", map[string]any{"volume_mounts": []any{map[string]any{"volume_name": "data", "mount_path": "/data"}}})
		mounted := map[string]any{"template_name": "keeper"}
		first := b.box(mounted)
		if a := b.upload(first, "/data/sub/f", "kept"); a.status != 200 {
			b.t.Fatal(a)
		}
		if b.server.Isolation() == IsolationNative { // elsewhere commands see the host's paths
			b.run(first, "cp /data/sub/f /data/sub/g")
		} else {
			b.upload(first, "/data/sub/g", "kept")
		}
		b.want(204, "DELETE", "/boxes/"+first.Name, nil)
		second := b.box(mounted)
		if a := b.do(request("GET", dataplane(second)+"/download?path=/data/sub/g", nil)); a.body != "kept" {
			b.t.Fatal(a)
		}
	})
}

// shells of the test itself not among them.
func TestCommandOptions(t *testing.T) {
	t.Parallel()
	eachIsolation(t, func(b *bench) {
		s := b.box(map[string]any{})
		a := b.execute(s, map[string]any{
			"command": "echo $A-$B; pwd; echo $0", "env": map[string]string{"A": "1", "B": "x=y"}, "cwd": "/usr", "shell": "/bin/sh",
			"timeout_seconds": 20, "timeout": 0, "unknown": true,
		})
		if got := decode[gen.ExecuteResult](b.t, a); got.Stdout != "1-x=y\n/usr\n/bin/sh\n" {
			b.t.Errorf("%+v", got)
		}
		b.refused(b.execute(s, map[string]any{"command": "true", "cwd": "/nowhere"}), 400, codeCommand, "/nowhere", "no such file")
		b.refused(b.execute(s, map[string]any{"command": "true", "shell": "/bin/nosh"}), 400, codeCommand, "/bin/nosh", "not exist")
		b.refused(b.execute(s, map[string]any{"command": "true", "shell": "/usr"}), 400, codeCommand, "/usr")
		killed := decode[gen.ExecuteResult](b.t, b.execute(s, map[string]any{"command": "kill -9 $$", "timeout": 0}))
		if *killed.ExitCode != 137 {
			b.t.Errorf("exit code %d", *killed.ExitCode)
		}
	})
}

func TestPoolHandsOutStartedSandboxes(t *testing.T) {
	t.Parallel()
	eachIsolation(t, func(b *bench) {
		b.template("py", nil)
		b.want(201, "POST", "/pools", map[string]any{"name": "warm", "template_name": "py", "replicas": 2})
		eventually(b.t, "the pool is full", func() bool { return b.usage().SandboxRunningCount == 2 })
		s := b.box(map[string]any{"template_name": "py", "wait_for_ready": false})
		if s.Status != gen.StatusReady {
			b.t.Fatalf("status %q: not from the pool", s.Status)
		}
		b.run(s, "true")
		eventually(b.t, "the pool is full again", func() bool { return b.usage().SandboxRunningCount == 3 })
		b.want(204, "DELETE", "/pools/warm", nil)
		if u := b.usage(); u.SandboxRunningCount != 1 || u.SandboxPoolReplicasCount != 0 {
			b.t.Errorf("%+v", u)
		}
		b.run(s, "true")
	})
}

func TestStopKeepsFiles(t *testing.T) {
	t.Parallel()
	eachIsolation(t, func(b *bench) {
		s := b.box(map[string]any{"name": "nap"})
		b.run(s, "echo kept > f; sleep 1000 &")
		b.want(204, "POST", "/boxes/nap/stop", nil)
		b.refused(b.call("POST", "/boxes/nap/stop", nil), 400, codeInvalidRequest)
		again := decode[gen.Sandbox](b.t, b.want(202, "POST", "/boxes/nap/start", "{}"))
		if again.DataplaneURL != s.DataplaneURL {
			b.t.Errorf("dataplane_url changed: %s", again.DataplaneURL)
		}
		eventually(b.t, "it is ready", func() bool { return b.status("nap").Status == gen.StatusReady })
		if got := b.run(s, "cat f"); got.Stdout != "kept\n" {
			b.t.Errorf("%+v", got)
		}
		// A request wakes it, too; one of a template stays as it is.
		b.want(204, "POST", "/boxes/nap/stop", nil)
		if got := b.run(s, "cat f"); got.Stdout != "kept\n" {
			b.t.Errorf("%+v", got)
		}
		b.template("old", nil)
		first := b.box(map[string]any{"name": "first", "template_name": "old"})
		b.want(204, "POST", "/boxes/first/stop", nil)
		b.refused(b.execute(first, map[string]any{"command": "true"}), 400, codeNotReady, "stopped")
	})
}

// useOnce creates a sandbox, uses it and deletes it. It may run beside others.
func (b *bench) useOnce(name string) {
	b.t.Helper()
	a := b.call("POST", "/boxes", map[string]any{"name": name, "template_name": "py"})
	if a.status != 201 {
		b.t.Errorf("%+v", a)
		return
	}
	s := decode[gen.Sandbox](b.t, a)
	for range 3 {
		if e := b.execute(s, map[string]any{"command": "echo " + name}); !strings.Contains(e.body, name) {
			b.t.Errorf("%+v", e)
		}
	}
	if d := b.call("DELETE", "/boxes/"+name, nil); d.status != 204 {
		b.t.Errorf("%+v", d)
	}
}

func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	eachIsolation(t, func(b *bench) {
		b.template("py", nil)
		b.want(201, "POST", "/pools", map[string]any{"name": "warm", "template_name": "py", "replicas": 3})
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				b.useOnce(fmt.Sprint("box-", i))
			})
		}
		all.Wait()
		if u := b.usage(); u.SandboxDirectCount != 0 {
			b.t.Errorf("%+v", u)
		}
	})
}

func TestOneServerPerDirectory(t *testing.T) {
	t.Parallel()
	eachIsolation(t, func(b *bench) {
		cfg := b.server.cfg
		if second, err := New(cfg); err == nil {
			b.t.Error("two servers share a directory")
			_ = second.Close()
		} else if !strings.Contains(err.Error(), "in use") {
			b.t.Error(err)
		}
		b.box(map[string]any{"name": "x"})
	}, func(c *Config) { c.Dir = t.TempDir() })
}
