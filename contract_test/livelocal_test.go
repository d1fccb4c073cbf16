package contract_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/langsandbox/sandbox-go/sandboxclient"
	"github.com/langsandbox/sandbox-go/sandboxserver"
)

// liveHere is a live run against a local server, and a client that sees what
// the run leaves there.
func liveHere(t *testing.T, generation int) (*liveRun, *sandboxclient.Client) {
	t.Helper()
	server, err := sandboxserver.New(sandboxserver.Config{MinIsolation: sandboxserver.IsolationProcess})
	if err != nil {
		t.Fatal(err)
	}
	listener := httptest.NewServer(server)
	t.Cleanup(func() {
		listener.Close()
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	options := []sandboxclient.Option{
		sandboxclient.WithEnvironment(func(string) string { return "" }),
		sandboxclient.WithEndpoint(listener.URL + "/v2/sandboxes"), sandboxclient.WithAPIKey(server.APIKey()),
	}
	run, err := newLiveRun(newChecker(t, "/v2/sandboxes", listener.Client().Transport), generation, options...)
	if err != nil {
		t.Fatal(err)
	}
	other, err := sandboxclient.New(append(options, sandboxclient.WithHTTPClient(listener.Client()))...)
	if err != nil {
		t.Fatal(err)
	}
	return run, other
}

// thingsOf are the names of all that is on a server, but for what it came with.
func thingsOf(t *testing.T, c *sandboxclient.Client) (names []string) {
	t.Helper()
	seer := &liveRun{c: c, generation: 1}
	for _, list := range seer.lists(t.Context()) {
		for thing, err := range list {
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(thing.name, "system/") {
				names = append(names, thing.kind+" "+thing.name)
			}
		}
	}
	return names
}

// TestLiveRun: the rows for an endpoint pass on the local server, but for what
// it does not offer, and nothing but other people's things is left.
func TestLiveRun(t *testing.T) {
	t.Parallel()
	for generation := 1; generation <= 2; generation++ {
		t.Run(fmt.Sprintf("generation %d", generation), func(t *testing.T) {
			t.Parallel()
			run, other := liveHere(t, generation)
			ok[*sandboxclient.Volume](t)(other.Volumes.Create(t.Context(), &sandboxclient.CreateVolume{Name: "of-others", Size: "1Gi"}))
			ok[*sandboxclient.Sandbox](t)(other.Create(t.Context(), &sandboxclient.CreateSandbox{Name: "lsct-not-quite"}))
			rows, _ := livePlan(t, generation)
			outcomes, err := run.drive(t.Context(), rows)
			if err != nil || len(outcomes) != len(rows) {
				t.Errorf("%d of %d rows: %v", len(outcomes), len(rows), err)
			}
			for _, o := range outcomes {
				if o.err != nil && (!o.unsupported || !strings.HasPrefix(o.row, "listUsageCosts")) {
					t.Errorf("%s: %v", o.row, o.err)
				}
			}
			if left := thingsOf(t, other); !slices.Equal(left, []string{"sandbox lsct-not-quite", "volume of-others"}) {
				t.Errorf("left: %v", left)
			}
		})
	}
}

// failing is a row that makes one thing of each kind, and then fails.
func failing(end func()) contractRow {
	return contractRow{op: "updateSandbox", method: "that fails", drive: func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		sb := f.sandbox(c)
		_, snapshotErr := sb.Capture(ctx, &sandboxclient.CaptureSnapshot{Name: f.fresh("team/snapshot")}, nil)
		_, volumeErr := c.Volumes.Create(ctx, &sandboxclient.CreateVolume{Name: f.fresh("volume"), Size: "1Gi"})
		_, templateErr := c.Templates.Create(ctx, &sandboxclient.CreateTemplate{Name: f.prefix + "template", Image: "i"})
		_, poolErr := c.Pools.Create(ctx, &sandboxclient.CreatePool{Name: f.fresh("pool"), TemplateName: f.prefix + "template", Replicas: 1})
		_, registryErr := c.Registries.Create(ctx, &sandboxclient.CreateRegistry{Name: f.fresh("registry"), URL: "ghcr.io"})
		_, boxErr := c.Update(ctx, f.box, &sandboxclient.SandboxUpdate{Name: f.fresh("box")})
		end()
		return errors.Join(errFails, snapshotErr, volumeErr, templateErr, poolErr, registryErr, boxErr)
	}}
}

var errFails = errors.New("it fails")

// TestLiveCleansUp after rows that fail, panic, or are stopped.
func TestLiveCleansUp(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(cancel func()){
		"failure": func(func()) {},
		"panic":   func(func()) { panic("it fails") },
		"stop":    func(cancel func()) { cancel() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run, other := liveHere(t, 1)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var made []string
			row := failing(func() {
				made = thingsOf(t, other)
				end(cancel)
			})
			rows := []contractRow{row, row}
			var outcomes []liveOutcome
			var err error
			func() {
				defer func() {
					if p := recover(); (p != nil) != (name == "panic") {
						t.Errorf("panic: %v", p)
					}
				}()
				outcomes, err = run.drive(ctx, rows)
			}()
			for _, kind := range []string{"sandbox", "snapshot", "volume", "template", "pool", "registry"} {
				if !slices.ContainsFunc(made, func(thing string) bool { return strings.HasPrefix(thing, kind+" "+run.prefix) }) {
					t.Errorf("the row has made no %s: %v", kind, made)
				}
			}
			switch name {
			case "failure":
				if err != nil || len(outcomes) != 2 || !errors.Is(outcomes[0].err, errFails) {
					t.Errorf("%v, %v", outcomes, err)
				}
			case "stop":
				if !errors.Is(err, context.Canceled) || len(outcomes) != 1 {
					t.Errorf("%v, %v", outcomes, err)
				}
			}
			if left := thingsOf(t, other); len(left) > 0 {
				t.Errorf("left: %v", left)
			}
		})
	}
}

// TestLiveSweepsWhatOthersLeft, if it is old.
func TestLiveSweepsWhatOthersLeft(t *testing.T) {
	t.Parallel()
	run, other := liveHere(t, 2)
	young := run.prefix[:len("lsct-00000000-")] + "0000-volume"
	for _, name := range []string{"lsct-60000000-0000-volume", young, "lsct-60000000-volume", "lsct"} {
		ok[*sandboxclient.Volume](t)(other.Volumes.Create(t.Context(), &sandboxclient.CreateVolume{Name: name, Size: "1Gi"}))
	}
	if _, err := run.drive(t.Context(), nil); err != nil {
		t.Error(err)
	}
	left := thingsOf(t, other)
	slices.Sort(left)
	if want := []string{"volume lsct", "volume lsct-60000000-volume", "volume " + young}; !slices.Equal(left, want) {
		t.Errorf("left %v, want %v", left, want)
	}
}

// TestLiveGuard: requests for what is not the run's own are not sent.
func TestLiveGuard(t *testing.T) {
	t.Parallel()
	run, other := liveHere(t, 2)
	sb := ok[*sandboxclient.Sandbox](t)(other.Create(t.Context(), &sandboxclient.CreateSandbox{Name: "of-others"}))
	strange := run.c.FromInfo(sb.Info())
	ctx := t.Context()
	for name, attempt := range map[string]func() error{
		"create":        func() error { _, err := run.c.Create(ctx, &sandboxclient.CreateSandbox{Name: "mine"}); return err },
		"create no one": func() error { _, err := run.c.Create(ctx, nil); return err },
		"delete":        func() error { return run.c.Delete(ctx, "of-others") },
		"delete some":   func() error { _, err := run.c.DeleteBatch(ctx, run.prefix+"a", "of-others"); return err },
		"rename": func() error {
			_, err := run.c.Update(ctx, run.prefix+"box", &sandboxclient.SandboxUpdate{Name: "mine"})
			return err
		},
		"capture": func() error {
			_, err := strange.Capture(ctx, &sandboxclient.CaptureSnapshot{Name: run.prefix + "s"}, nil)
			return err
		},
		"snapshot": func() error { return run.c.Snapshots.Delete(ctx, "019a0000-0000-7000-8000-000000000000") },
		"execute":  func() error { _, err := strange.Execute(ctx, "true", nil); return err },
		"upload":   func() error { return strange.WriteFile(ctx, "a", nil) },
		"outside": func() error {
			req, err := http.NewRequestWithContext(ctx, http.MethodPost, run.c.Endpoint()+"/no/such/operation", http.NoBody)
			if err == nil {
				_, err = run.guard.RoundTrip(req)
			}
			return err
		},
	} {
		if err := attempt(); err == nil || !strings.Contains(err.Error(), "not sent") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if left := thingsOf(t, other); !slices.Equal(left, []string{"sandbox of-others"}) {
		t.Errorf("left: %v", left)
	}
}
