package sandboxclient_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

// TestWireTimeouts: the server waits as long as the context allows.
func TestWireTimeouts(t *testing.T) {
	t.Parallel()
	volume := func(ctx context.Context, c *sandboxclient.Client) {
		_, _ = c.Volumes.Create(ctx, &sandboxclient.CreateVolume{Name: "v", Size: "1Gi"})
	}
	pool := func(ctx context.Context, c *sandboxclient.Client) {
		_, _ = c.Pools.Create(ctx, &sandboxclient.CreatePool{Name: "p", TemplateName: "t", Replicas: 1})
	}
	sandbox := func(ctx context.Context, c *sandboxclient.Client) { _, _ = c.Create(ctx, nil) }
	execute := func(ctx context.Context, c *sandboxclient.Client) { _, _ = box(c).Execute(ctx, "true", nil) }
	for _, tt := range []struct {
		name     string
		call     func(context.Context, *sandboxclient.Client)
		deadline time.Duration
		want     int
	}{
		{"volume", volume, 0, 60},
		{"volume", volume, 100 * time.Second, 100},
		{"volume", volume, time.Second, 5},
		{"volume", volume, time.Hour, 300},
		{"pool", pool, 0, 30},
		{"pool", pool, time.Hour, 600},
		{"sandbox", sandbox, 0, 30},
		{"sandbox", sandbox, 90 * time.Second, 90},
		{"sandbox", sandbox, 1500 * time.Millisecond, 1},
		{"execute", execute, 0, 60},
		{"execute", execute, 10 * time.Second, 10},
		{"execute", execute, time.Hour, 300},
	} {
		t.Run(fmt.Sprint(tt.name, tt.deadline), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := &fake{answer: always(200, `{"name":"a"}`)}
				ctx := t.Context()
				if tt.deadline > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, tt.deadline)
					defer cancel()
				}
				tt.call(ctx, client(t, f))
				if want := fmt.Sprintf(`"timeout":%d`, tt.want); !strings.Contains(f.requests()[0].body, want) {
					t.Errorf("sent %s, want %s", f.requests()[0].body, want)
				}
			})
		})
	}
}

// TestAttemptIsBounded: a server that never answers does not hold a caller
// without a deadline for ever.
func TestAttemptIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fake{answer: func(_ int, req *http.Request) (*http.Response, error) {
			<-req.Context().Done()
			return nil, req.Context().Err()
		}}
		start := time.Now()
		_, err := client(t, f).Get(t.Context(), "box1")
		if !errors.Is(err, sandboxclient.ErrTimeout) || time.Since(start) != 30*time.Second {
			t.Errorf("error %v after %s", err, time.Since(start))
		}
		start = time.Now()
		_, err = client(t, f).Create(t.Context(), nil)
		if !errors.Is(err, sandboxclient.ErrOutcomeUnknown) || time.Since(start) != 60*time.Second {
			t.Errorf("error %v after %s", err, time.Since(start))
		}
	})
}

// TestExecuteIsNeverRepeated once it was sent; before, it is.
func TestExecuteIsNeverRepeated(t *testing.T) {
	t.Parallel()
	for _, status := range []int{429, 500, 502, 503, 504} {
		f := &fake{answer: always(status, "{}")}
		_, err := box(client(t, f, sandboxclient.WithRetry(sandboxclient.DefaultRetryPolicy()))).Execute(t.Context(), "true", nil)
		if err == nil || len(f.requests()) != 1 {
			t.Errorf("%d: %d requests, error %v", status, len(f.requests()), err)
		}
	}
}

func TestListGoesOnAsTheCallerDoes(t *testing.T) {
	t.Parallel()
	pages := []string{
		`{"volumes":[{"name":"a"},{"name":"b"}],"offset":2}`,
		`{"volumes":[],"offset":3}`,
		`{"volumes":[{"name":"c"}],"offset":0}`,
	}
	f := &fake{answer: func(n int, _ *http.Request) (*http.Response, error) { return reply(200, pages[n%3]), nil }}
	list := client(t, f).Volumes.List(t.Context(), &sandboxclient.ListVolumesParams{Limit: new(2)})
	for v, err := range list {
		if err != nil || v.Name != "a" {
			t.Errorf("first: %v, %v", v, err)
		}
		break
	}
	if n := len(f.requests()); n != 1 {
		t.Fatalf("%d requests for one item", n)
	}
	f.seen = nil
	var names []string
	for v, err := range list {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, v.Name)
	}
	if want := []string{"a", "b", "c"}; !slices.Equal(names, want) {
		t.Errorf("names %v, want %v", names, want)
	}
}

func TestListOfCircles(t *testing.T) {
	t.Parallel()
	f := &fake{answer: always(200, `{"pools":[{"name":"a"}],"offset":1}`)}
	items, failures := 0, 0
	for _, err := range client(t, f).Pools.List(t.Context(), nil) {
		if err != nil {
			failures++
			if !errors.Is(err, sandboxclient.ErrProtocol) {
				t.Error(err)
			}
			continue
		}
		items++
	}
	if items != 2 || failures != 1 {
		t.Errorf("%d items and %d errors, want 2 and 1", items, failures)
	}
}

// TestCallersAreLeftAlone: what a caller passes in is as it was.
func TestCallersAreLeftAlone(t *testing.T) {
	t.Parallel()
	f := &fake{answer: always(200, `{"name":"a"}`)}
	hc := &http.Client{Transport: f, Timeout: time.Minute}
	c := client(t, f, sandboxclient.WithHTTPClient(hc))
	create := sandboxclient.CreateSandbox{TemplateName: "t"}
	template := sandboxclient.CreateTemplate{Name: "t", Image: "i"}
	options := sandboxclient.ExecuteOptions{Env: map[string]string{"A": "b"}}
	_, err := c.Ephemeral(t.Context(), &create)
	_, err2 := c.Templates.Create(t.Context(), &template)
	_, err3 := box(c).Execute(t.Context(), "true", &options)
	if err := errors.Join(err, err2, err3); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(sandboxclient.CreateSandbox{TemplateName: "t"}, create); diff != "" {
		t.Errorf("create (-was +is):\n%s", diff)
	}
	if diff := cmp.Diff(sandboxclient.CreateTemplate{Name: "t", Image: "i"}, template); diff != "" {
		t.Errorf("template (-was +is):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{"A": "b"}, options.Env); diff != "" || options.Timeout != 0 || options.Shell != "" {
		t.Errorf("options: %+v", options)
	}
	if hc.CheckRedirect != nil || hc.Transport != f || hc.Timeout != time.Minute {
		t.Errorf("HTTP client: %+v", hc)
	}
}

// TestEndpoints: what is no address is refused, and not repeated, as it may
// hold a password.
func TestEndpoints(t *testing.T) {
	t.Parallel()
	for _, endpoint := range []string{"ftp://h.test", "h.test", "https://", "https://user:hunter2@h.test", "http://[::1", "https://h.test/%zz"} {
		_, err := sandboxclient.New(sandboxclient.WithEndpoint(endpoint))
		if !errors.Is(err, sandboxclient.ErrInvalid) {
			t.Errorf("%s: error %v does not match ErrInvalid", endpoint, err)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: error %q holds the password", endpoint, err)
		}
	}
}

// TestLinkedModules: what a program gets with this package.
func TestLinkedModules(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", "{{with .Module}}{{.Path}}{{end}}", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	modules := slices.Compact(slices.Sorted(slices.Values(strings.Fields(string(out)))))
	want := []string{
		"github.com/apapsch/go-jsonmerge/v2",
		"github.com/google/uuid",
		"github.com/langsandbox/sandbox-go",
		"github.com/oapi-codegen/runtime",
	}
	if diff := cmp.Diff(want, modules); diff != "" {
		t.Errorf("linked modules (-want +got):\n%s", diff)
	}
	if len(want)-1 > 6 {
		t.Error("more than six third-party modules")
	}
}
