package sandboxserver

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/langsandbox/sandbox-go/gen"
	"github.com/langsandbox/sandbox-go/internal/runtime"
)

// onFakeClock runs a test of the engine alone, on a clock that jumps.
func onFakeClock(t *testing.T, test func(t *testing.T, e *engine, fake *fakeRuntime)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		fake := newFakeRuntime()
		cfg, err := Config{}.withDefaults()
		if err != nil {
			t.Fatal(err)
		}
		gateway, err := cfg.gateway(nil)
		if err != nil {
			t.Fatal(err)
		}
		e := newEngine(cfg, gateway, t.TempDir())
		e.rt = fake
		test(t, e, fake)
		if err := e.close(); err != nil {
			t.Error(err)
		}
	})
}

func mustCreate(t *testing.T, e *engine, req gen.CreateSandbox) gen.Sandbox {
	t.Helper()
	s, err := e.createBox(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// state is a sandbox's status, or "" when it is gone.
func state(e *engine, name string) gen.Status {
	synctest.Wait()
	s, err := e.boxStatus(name)
	if err != nil {
		return ""
	}
	return s.Status
}

func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func expect(t *testing.T, e *engine, name string, want gen.Status) {
	t.Helper()
	if got := state(e, name); got != want {
		t.Errorf("%s: status %q, want %q", name, got, want)
	}
}

func TestTTLDeletes(t *testing.T) {
	t.Parallel()
	onFakeClock(t, func(t *testing.T, e *engine, fake *fakeRuntime) {
		start := time.Now()
		s := mustCreate(t, e, gen.CreateSandbox{Name: "x", TTLSeconds: new(120), IdleTTLSeconds: new(0)})
		if s.TTLSeconds != 120 || !s.ExpiresAt.Equal(start.Add(2*time.Minute)) {
			t.Errorf("%+v", s)
		}
		pass(2*time.Minute - time.Second)
		expect(t, e, "x", gen.StatusReady)
		pass(time.Second)
		expect(t, e, "x", "")
		if fake.running() != 0 {
			t.Error("it still runs")
		}
	})
}

func TestTTLAppliesToStoppedOnes(t *testing.T) {
	t.Parallel()
	onFakeClock(t, func(t *testing.T, e *engine, _ *fakeRuntime) {
		mustCreate(t, e, gen.CreateSandbox{Name: "x", TTLSeconds: new(120)})
		if err := e.stopBox(t.Context(), "x"); err != nil {
			t.Fatal(err)
		}
		pass(119 * time.Second)
		expect(t, e, "x", gen.StatusStopped)
		pass(time.Second)
		expect(t, e, "x", "")
	})
}

func TestIdleDefault(t *testing.T) {
	t.Parallel()
	onFakeClock(t, func(t *testing.T, e *engine, fake *fakeRuntime) {
		if _, err := e.createTemplate(gen.CreateTemplate{Name: "py", Image: "i"}); err != nil {
			t.Fatal(err)
		}
		if s := mustCreate(t, e, gen.CreateSandbox{Name: "plain"}); s.IdleTTLSeconds != 600 || !s.ExpiresAt.IsZero() {
			t.Errorf("%+v", s)
		}
		mustCreate(t, e, gen.CreateSandbox{Name: "templated", TemplateName: "py"})
		mustCreate(t, e, gen.CreateSandbox{Name: "forever", TemplateName: "py", IdleTTLSeconds: new(0)})
		pass(599 * time.Second)
		expect(t, e, "plain", gen.StatusReady)
		expect(t, e, "templated", gen.StatusReady)
		pass(time.Second)
		expect(t, e, "plain", gen.StatusStopped)
		expect(t, e, "templated", "")
		pass(14*24*time.Hour - time.Second)
		expect(t, e, "plain", gen.StatusStopped)
		pass(time.Second)
		expect(t, e, "plain", "")
		expect(t, e, "forever", gen.StatusReady)
		if n := fake.running(); n != 1 {
			t.Errorf("%d run", n)
		}
	})
}

// TestWakePutsDeletionOff: a request starts an idle sandbox, whose time to
// deletion begins anew with the next stop.
func TestWakePutsDeletionOff(t *testing.T) {
	t.Parallel()
	onFakeClock(t, func(t *testing.T, e *engine, _ *fakeRuntime) {
		s := mustCreate(t, e, gen.CreateSandbox{Name: "x", IdleTTLSeconds: new(60), DeleteAfterStopSeconds: new(120)})
		pass(60 * time.Second)
		expect(t, e, "x", gen.StatusStopped)
		pass(119 * time.Second)
		_, leave, err := e.enterBox(t.Context(), s.ID)
		if err != nil {
			t.Fatal(err)
		}
		leave()
		pass(59 * time.Second)
		expect(t, e, "x", gen.StatusReady)
		pass(time.Second)
		expect(t, e, "x", gen.StatusStopped)
		pass(119 * time.Second)
		expect(t, e, "x", gen.StatusStopped)
		pass(time.Second)
		expect(t, e, "x", "")
	})
}

func TestActivityPutsIdleOff(t *testing.T) {
	t.Parallel()
	onFakeClock(t, func(t *testing.T, e *engine, _ *fakeRuntime) {
		s := mustCreate(t, e, gen.CreateSandbox{Name: "x", IdleTTLSeconds: new(60)})
		pass(50 * time.Second)
		_, leave, err := e.enterBox(t.Context(), s.ID)
		if err != nil {
			t.Fatal(err)
		}
		pass(10 * time.Minute) // a command that runs is activity
		expect(t, e, "x", gen.StatusReady)
		leave()
		pass(59 * time.Second)
		expect(t, e, "x", gen.StatusReady)
		report := gen.ActivityReport{Activities: []gen.Activity{
			{K8SSandboxName: "sb-" + s.ID}, {K8SSandboxName: "unknown"},
		}}
		got, err := e.touch(report)
		if err != nil || len(got.Results) != 2 || !got.Results[0].TrackActivity || got.Results[1].TrackActivity {
			t.Errorf("%+v %v", got, err)
		}
		pass(59 * time.Second)
		expect(t, e, "x", gen.StatusReady)
		pass(time.Second)
		expect(t, e, "x", gen.StatusStopped)
		if got, _ := e.touch(report); got.Results[0].TrackActivity {
			t.Error("a stopped sandbox has no idle timer")
		}
	})
}

func TestTimersCanBeChanged(t *testing.T) {
	t.Parallel()
	onFakeClock(t, func(t *testing.T, e *engine, _ *fakeRuntime) {
		mustCreate(t, e, gen.CreateSandbox{Name: "x", TTLSeconds: new(60), IdleTTLSeconds: new(60)})
		pass(30 * time.Second)
		update := func(req gen.SandboxUpdate) gen.Sandbox {
			t.Helper()
			s, err := e.updateBox(t.Context(), "x", req)
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		if s := update(gen.SandboxUpdate{TTLSeconds: new(0), IdleTTLSeconds: new(0)}); !s.ExpiresAt.IsZero() || s.TTLSeconds != 0 {
			t.Errorf("%+v", s)
		}
		pass(time.Hour)
		expect(t, e, "x", gen.StatusReady)
		update(gen.SandboxUpdate{IdleTTLSeconds: new(7200)})
		pass(59 * time.Minute)
		expect(t, e, "x", gen.StatusReady)
		update(gen.SandboxUpdate{TTLSeconds: new(60)}) // long over
		pass(time.Millisecond)
		expect(t, e, "x", "")
	})
}

func TestCreateThatIsNotReadyInTime(t *testing.T) {
	t.Parallel()
	onFakeClock(t, func(t *testing.T, e *engine, fake *fakeRuntime) {
		fake.onCreate(func(ctx context.Context, _ runtime.Spec) error { <-ctx.Done(); return ctx.Err() })
		for timeout, want := range map[int]time.Duration{0: 30 * time.Second, 7: 7 * time.Second} {
			start := time.Now()
			_, err := e.createBox(t.Context(), gen.CreateSandbox{Name: "x", Timeout: timeout})
			if e := asAPIError(err); e.status != 408 || e.code != codeTimeout || time.Since(start) != want {
				t.Errorf("%v after %v", e, time.Since(start))
			}
			expect(t, e, "x", "")
		}
		// Nobody waits: the failure stays to be read.
		s := mustCreate(t, e, gen.CreateSandbox{Name: "y", WaitForReady: new(false), Timeout: 5})
		if s.Status != gen.StatusProvisioning {
			t.Errorf("%+v", s)
		}
		pass(time.Minute)
		expect(t, e, "y", gen.StatusProvisioning)
		pass(time.Minute)
		report, err := e.boxStatus("y")
		if err != nil || report.Status != gen.StatusFailed || report.StatusMessage != "the sandbox was not ready in time" {
			t.Errorf("%+v %v", report, err)
		}
		fake.onCreate(nil)
		if _, err := e.startBox("y"); err != nil {
			t.Fatal(err)
		}
		expect(t, e, "y", gen.StatusReady)
		if report, _ := e.boxStatus("y"); report.StatusMessage != "" {
			t.Errorf("%+v", report)
		}
	})
}

func TestPoolTimeoutAndRetries(t *testing.T) {
	t.Parallel()
	onFakeClock(t, func(t *testing.T, e *engine, fake *fakeRuntime) {
		if _, err := e.createTemplate(gen.CreateTemplate{Name: "py", Image: "i"}); err != nil {
			t.Fatal(err)
		}
		attempts := make(chan time.Time, 1000)
		fake.onCreate(func(context.Context, runtime.Spec) error { attempts <- time.Now(); return errors.New("broken") })
		req := gen.CreatePool{Name: "warm", TemplateName: "py", Replicas: 1, Timeout: 20}
		start := time.Now()
		_, err := e.createPool(t.Context(), req)
		if e := asAPIError(err); e.status != 504 || e.code != codeTimeout || time.Since(start) != 20*time.Second {
			t.Errorf("%v after %v", e, time.Since(start))
		}
		if _, err := e.getPool("warm"); err == nil {
			t.Error("the pool is left behind")
		}
		// At 0, 1, 3, 7 and 15 seconds.
		if n := len(attempts); n != 5 {
			t.Errorf("%d attempts", n)
		}
		req.WaitForReady = new(false)
		if _, err := e.createPool(t.Context(), req); err != nil {
			t.Fatal(err)
		}
		pass(10 * time.Minute)
		fake.onCreate(nil)
		pass(31 * time.Second)
		if n := fake.running(); n != 1 {
			t.Errorf("%d running", n)
		}
	})
}

func TestDue(t *testing.T) {
	t.Parallel()
	now := time.Now()
	base := box{meta: meta{created: now}, active: now, status: gen.StatusReady}
	for name, c := range map[string]struct {
		change func(*box)
		what   ending
		after  time.Duration
	}{
		"nothing set":      {func(*box) {}, endNever, 0},
		"lifetime":         {func(b *box) { b.ttl = 60 }, endDelete, time.Minute},
		"idle":             {func(b *box) { b.idle = 60 }, endStop, time.Minute},
		"idle template":    {func(b *box) { b.idle, b.templateID = 60, "t" }, endDelete, time.Minute},
		"lifetime first":   {func(b *box) { b.ttl, b.idle = 60, 120 }, endDelete, time.Minute},
		"idle first":       {func(b *box) { b.ttl, b.idle = 120, 60 }, endStop, time.Minute},
		"busy":             {func(b *box) { b.idle, b.busy, b.active = 60, 1, now.Add(-time.Hour) }, endStop, time.Minute},
		"idle, stopped":    {func(b *box) { b.idle, b.status = 60, gen.StatusStopped }, endNever, 0},
		"idle, starting":   {func(b *box) { b.idle, b.status = 60, gen.StatusProvisioning }, endNever, 0},
		"deleting":         {func(b *box) { b.ttl, b.status = 60, gen.StatusDeleting }, endNever, 0},
		"failed":           {func(b *box) { b.ttl, b.status = 60, gen.StatusFailed }, endDelete, time.Minute},
		"beyond the years": {func(b *box) { b.ttl = 1 << 62 }, endDelete, 100 * 365 * 24 * time.Hour},
	} {
		b := base
		c.change(&b)
		what, at := b.due(now)
		if what != c.what || what != endNever && at.Sub(now) != c.after {
			t.Errorf("%s: %v in %v", name, what, at.Sub(now))
		}
	}
}
