package sandboxclient_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/http/httptrace"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

// TestRequestsAreLeftAlone: whatever is in a request, it is afterwards what it
// was, down to its maps, lists and pointers.
func TestRequestsAreLeftAlone(t *testing.T) {
	t.Parallel()
	proxy := sandboxclient.ProxyConfig{
		Rules: []sandboxclient.ProxyRule{{
			Name: "r", Enabled: new(false), MatchHosts: []string{"h"}, InjectHeaders: map[string]string{"A": "b"},
			Headers: []sandboxclient.ProxyHeader{{Name: "n", Type: sandboxclient.ProxyHeaderOpaque, Value: "v"}},
		}},
		NoProxy: []string{"x", "y"},
	}
	type c = *sandboxclient.Client
	ctx := t.Context()
	requests := map[string]struct {
		req  any
		call func(c, any) error
	}{
		"create volume": {&sandboxclient.CreateVolume{Name: "a", Size: "1Gi"}, func(c c, r any) error {
			return second(c.Volumes.Create(ctx, r.(*sandboxclient.CreateVolume)))
		}},
		"create template": {&sandboxclient.CreateTemplate{
			Name: "a", Image: "i", ProxyConfig: proxy, VolumeMounts: []sandboxclient.VolumeMount{{VolumeName: "v", MountPath: "/v"}},
		}, func(c c, r any) error {
			return second(c.Templates.Create(ctx, r.(*sandboxclient.CreateTemplate)))
		}},
		"create pool": {&sandboxclient.CreatePool{Name: "a", TemplateName: "t", Replicas: 1}, func(c c, r any) error {
			return second(c.Pools.Create(ctx, r.(*sandboxclient.CreatePool)))
		}},
		"create sandbox": {&sandboxclient.CreateSandbox{TTLSeconds: new(60), ProxyConfig: proxy}, func(c c, r any) error {
			return second(c.Create(ctx, r.(*sandboxclient.CreateSandbox)))
		}},
		"ephemeral": {&sandboxclient.CreateSandbox{WaitForReady: new(true), ProxyConfig: proxy}, func(c c, r any) error {
			return second(c.Ephemeral(ctx, r.(*sandboxclient.CreateSandbox)))
		}},
		"update sandbox": {&sandboxclient.SandboxUpdate{Name: "b", TTLSeconds: new(0), ProxyConfig: proxy}, func(c c, r any) error {
			return second(c.Update(ctx, "a", r.(*sandboxclient.SandboxUpdate)))
		}},
		"execute": {&sandboxclient.ExecuteOptions{Env: map[string]string{"A": "b"}}, func(c c, r any) error {
			return second(box(c).Execute(ctx, "true", r.(*sandboxclient.ExecuteOptions)))
		}},
		"list": {&sandboxclient.ListSandboxesParams{Limit: new(2), Offset: new(1)}, func(c c, r any) error {
			return last(c.List(ctx, r.(*sandboxclient.ListSandboxesParams)))
		}},
		"wait": {&sandboxclient.WaitOptions{}, func(c c, r any) error {
			return box(c).WaitReady(ctx, r.(*sandboxclient.WaitOptions))
		}},
	}
	for name, tt := range requests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			before, err := json.Marshal(tt.req)
			if err != nil {
				t.Fatal(err)
			}
			was := reflect.New(reflect.TypeOf(tt.req).Elem()).Interface()
			if err := json.Unmarshal(before, was); err != nil {
				t.Fatal(err)
			}
			if err := tt.call(client(t, &fake{answer: always(200, `{"name":"a","status":"ready"}`)}), tt.req); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(was, tt.req); diff != "" {
				t.Errorf("request (-was +is):\n%s", diff)
			}
		})
	}
}

// exported are the exported fields of a struct, by identity where they refer to
// something.
func exported(v any) map[string]string {
	fields := map[string]string{}
	s := reflect.ValueOf(v).Elem()
	for i := range s.NumField() {
		f, value := s.Type().Field(i), s.Field(i)
		if value.Kind() == reflect.Interface {
			value = value.Elem()
		}
		switch {
		case !f.IsExported():
		case value.Kind() == reflect.Pointer || value.Kind() == reflect.Func || value.Kind() == reflect.Map:
			fields[f.Name] = fmt.Sprint(value.Pointer())
		default:
			fields[f.Name] = fmt.Sprint(value)
		}
	}
	return fields
}

// TestCallersTransportIsLeftAlone: the caller's client and its transport keep
// every setting, and Close closes nothing of theirs.
func TestCallersTransportIsLeftAlone(t *testing.T) {
	t.Parallel()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	requests := 0
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		requests++
		_, _ = io.WriteString(w, "{}")
	}))
	t.Cleanup(srv.Close)
	own := &http.Transport{MaxIdleConnsPerHost: 3, ResponseHeaderTimeout: time.Minute, Proxy: http.ProxyFromEnvironment}
	t.Cleanup(own.CloseIdleConnections)
	policy := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	hc := &http.Client{Transport: own, Timeout: time.Minute, Jar: jar, CheckRedirect: policy}
	own.CloseIdleConnections() // net/http completes a transport on its first use
	clientBefore, transportBefore := exported(hc), exported(own)

	c, err := sandboxclient.New(sandboxclient.WithEndpoint(srv.URL), sandboxclient.WithHTTPClient(hc))
	if err != nil {
		t.Fatal(err)
	}
	reused := false
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { reused = i.Reused }})
	for range 2 {
		if err := errors.Join(second(c.Get(ctx, "a")), c.Close()); err != nil {
			t.Fatal(err)
		}
	}
	if !reused || requests != 2 {
		t.Errorf("%d requests, the second on the first's connection: %t; Close must leave it alone", requests, reused)
	}
	if diff := cmp.Diff(clientBefore, exported(hc)); diff != "" {
		t.Errorf("client (-was +is):\n%s", diff)
	}
	if diff := cmp.Diff(transportBefore, exported(own)); diff != "" {
		t.Errorf("transport (-was +is):\n%s", diff)
	}
}

// TestCloseClosesOwnConnections, those of the transport that [New] made.
func TestCloseClosesOwnConnections(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "{}") }))
	t.Cleanup(srv.Close)
	c, err := sandboxclient.New(sandboxclient.WithEndpoint(srv.URL))
	if err != nil {
		t.Fatal(err)
	}
	var reused []bool
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { reused = append(reused, i.Reused) }})
	for _, step := range []func() error{
		func() error { return second(c.Get(ctx, "a")) },
		func() error { return second(c.Get(ctx, "a")) },
		c.Close,
		func() error { return second(c.Get(ctx, "a")) },
		c.Close,
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]bool{false, true, false}, reused); diff != "" {
		t.Errorf("connections used again (-want +got):\n%s", diff)
	}
}

// TestConcurrentCalls of one client and of one handle, under the race detector.
func TestConcurrentCalls(t *testing.T) {
	t.Parallel()
	f := &fake{answer: func(int, *http.Request) (*http.Response, error) {
		return reply(200, `{"name":"a","status":"ready","dataplane_url":"https://r.test/sb"}`), nil
	}}
	c := client(t, f, sandboxclient.WithHeader("X-Tenant-Id", "t"))
	shared := box(c)
	var wg sync.WaitGroup
	for range 8 {
		for _, call := range every {
			wg.Go(func() {
				if err := call.do(sandboxclient.ContextWithHeader(t.Context(), "X-Trace", call.op), c); err != nil {
					t.Errorf("%s: %v", call.op, err)
				}
			})
		}
		for _, call := range []func(context.Context) error{
			func(ctx context.Context) error { return second(shared.Refresh(ctx)) },
			func(ctx context.Context) error { return second(shared.Status(ctx)) },
			func(ctx context.Context) error { return second(shared.Update(ctx, nil)) },
			func(ctx context.Context) error { return second(shared.Execute(ctx, "true", nil)) },
			func(ctx context.Context) error { return shared.WaitReady(ctx, nil) },
			func(ctx context.Context) error { return shared.Stop(ctx) },
			func(context.Context) error { return c.Close() },
		} {
			wg.Go(func() {
				if err := call(t.Context()); err != nil {
					t.Error(err)
				}
				_, _ = shared.Name(), shared.Info()
			})
		}
	}
	wg.Wait()
	for _, r := range f.requests() {
		if r.header.Get("X-Tenant-Id") != "t" || len(r.header.Values("X-Trace")) > 1 {
			t.Errorf("%s %s has the headers %v", r.method, r.path, r.header)
		}
	}
}
