//go:build live

package contract_test

import (
	"context"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

// TestContractLive drives the rows of the table against the endpoint of the
// environment; docs/contract-live.md tells more.
func TestContractLive(t *testing.T) {
	t.Parallel()
	settings, err := liveSettingsOf(os.Getenv)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := signal.NotifyContext(t.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if deadline, ok := t.Deadline(); ok { // at which nothing is deleted any more
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline.Add(-2*sweepTime))
		defer cancel()
	}
	where, err := sandboxclient.New()
	if err != nil {
		t.Fatal(err)
	}
	endpoint, err := url.Parse(where.Endpoint())
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	run, err := newLiveRun(newChecker(t, endpoint.EscapedPath(), transport), settings.generation, sandboxclient.WithAPIKey(settings.key))
	if err != nil {
		t.Fatal(err)
	}
	rows, reasons := livePlan(t, settings.generation)
	t.Logf("%d rows against %s, as generation %d; what they make is named %s...", len(rows), endpoint.Redacted(), settings.generation, run.prefix)
	for _, name := range slices.Sorted(maps.Keys(reasons)) {
		t.Logf("not run: %s: %s", name, reasons[name])
	}
	begin := time.Now()
	outcomes, err := run.drive(ctx, rows)
	var failed, unsupported int
	for _, o := range outcomes {
		switch {
		case o.unsupported:
			unsupported++
			t.Logf("NOT OFFERED: %s: %v", o.row, o.err)
		case o.err != nil:
			failed++
			t.Errorf("FAILED: %s: %v", o.row, o.err)
		default:
			t.Logf("passed: %s", o.row)
		}
	}
	if err != nil {
		t.Errorf("the run: %s", strings.TrimSpace(err.Error()))
	}
	t.Logf("%d passed, %d failed, %d not offered, %d not run, in %v", len(outcomes)-failed-unsupported, failed, unsupported, len(reasons), time.Since(begin).Round(time.Second))
}
