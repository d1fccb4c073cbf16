package contract_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/langsandbox/sandbox-go/gen"
	"github.com/langsandbox/sandbox-go/sandboxclient"
)

// pinned is a client whose requests are answered with one body; it keeps the
// last request's.
func pinned(t *testing.T, answer string) (*sandboxclient.Client, *string) {
	t.Helper()
	sent := new(string)
	c, err := sandboxclient.New(
		sandboxclient.WithEndpoint("http://127.0.0.1/v2/sandboxes"),
		sandboxclient.WithHTTPClient(&http.Client{Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
			if req.Body != nil {
				body, err := io.ReadAll(req.Body)
				if err != nil {
					return nil, err
				}
				*sent = string(body)
			}
			return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(answer))}, nil
		})}),
	)
	if err != nil {
		t.Fatal(err)
	}
	return c, sent
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// TestWirePins: what a request is when the caller says nothing, and that zero
// and absent stay apart.
func TestWirePins(t *testing.T) {
	t.Parallel()
	c, sent := pinned(t, `{"name":"a"}`)
	ctx := t.Context()
	for want, call := range map[string]func() error{
		`{"timeout":30,"wait_for_ready":true}`: func() error { _, err := c.Create(ctx, nil); return err },
		`{"wait_for_ready":false}`: func() error {
			_, err := c.Create(ctx, &sandboxclient.CreateSandbox{WaitForReady: new(false)})
			return err
		},
		`{"timeout":30,"ttl_seconds":0,"wait_for_ready":true}`: func() error { _, err := c.Create(ctx, &sandboxclient.CreateSandbox{TTLSeconds: new(0)}); return err },
		`{}`: func() error { _, err := c.Update(ctx, "a", nil); return err },
		`{"replicas":0}`: func() error {
			_, err := c.Pools.Update(ctx, "a", &sandboxclient.PoolUpdate{Replicas: new(0)})
			return err
		},
	} {
		if err := call(); err != nil {
			t.Fatal(err)
		}
		if *sent != want {
			t.Errorf("sent %s, want %s", *sent, want)
		}
	}
}

// TestNewerServers: members and values that this version does not know do no
// harm, and neither does null.
func TestNewerServers(t *testing.T) {
	t.Parallel()
	c, _ := pinned(t, `{"name":"a","status":"hibernating","new_member":{"x":[1]},"id":null,"ttl_seconds":null,"created_at":null,"proxy_config":null,"dataplane_url":null}`)
	sb, err := c.Get(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	if info := sb.Info(); info.Status != "hibernating" || info.ID != "" || !info.CreatedAt.IsZero() {
		t.Errorf("info %+v", info)
	}
}

// TestEnvelopes: the three shapes of an error are in the contract.
func TestEnvelopes(t *testing.T) {
	t.Parallel()
	schema := specOf(t).Components.Schemas["ErrorResponse"].Value
	for _, body := range []string{
		`{"detail":{"error":"Conflict","message":"m","error_id":"e"}}`,
		`{"detail":[{"loc":["body","a",0],"msg":"m","type":"value_error"}]}`,
		`{"detail":"m"}`,
	} {
		var v any
		if err := json.Unmarshal([]byte(body), &v); err != nil {
			t.Fatal(err)
		}
		if err := schema.VisitJSON(v); err != nil {
			t.Errorf("%s: %v", body, err)
		}
		var decoded gen.ErrorResponse
		if err := json.Unmarshal([]byte(body), &decoded); err != nil {
			t.Errorf("%s: %v", body, err)
		}
	}
}
