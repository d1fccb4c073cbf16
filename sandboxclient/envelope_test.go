package sandboxclient_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

// TestEnvelopeShapes: the three shapes of the envelope, those of proxies that
// know nothing of it, and those that nearly fit end up in the same fields.
func TestEnvelopeShapes(t *testing.T) {
	t.Parallel()
	field := func(message, kind string, path ...string) sandboxclient.FieldError {
		return sandboxclient.FieldError{Path: path, Message: message, Type: kind}
	}
	tests := map[string]struct {
		body string
		want sandboxclient.APIError
	}{
		"object":              {`{"detail":{"error":"C","message":"m","error_id":"e1"}}`, sandboxclient.APIError{Code: "C", Message: "m", RequestID: "e1"}},
		"object with space":   {` { "detail" : { "error" : "C" } } `, sandboxclient.APIError{Code: "C", Message: "Bad Request"}},
		"object without code": {`{"detail":{"message":"m"}}`, sandboxclient.APIError{Message: "m"}},
		"object of odd types": {`{"detail":{"error":7,"message":"m","error_id":"e1"}}`, sandboxclient.APIError{Message: "m", RequestID: "e1"}},
		"text":                {`{"detail": "plain"}`, sandboxclient.APIError{Message: "plain"}},
		"empty text":          {`{"detail":""}`, sandboxclient.APIError{Message: "Bad Request"}},
		"list": {`{"detail":[{"loc":["body","a",0],"msg":"m1","type":"value_error"},{"loc":["body"],"msg":"m2"},{"type":"x"}]}`, sandboxclient.APIError{
			Message: "m1; m2", Fields: []sandboxclient.FieldError{field("m1", "value_error", "body", "a", "0"), field("m2", "", "body"), field("", "x")},
		}},
		"list of odd types": {`{"detail":[{"loc":"body","msg":"m1"},{"msg":"m2"}]}`, sandboxclient.APIError{
			Message: "m1; m2", Fields: []sandboxclient.FieldError{field("m1", ""), field("m2", "")},
		}},
		"empty list":           {`{"detail":[]}`, sandboxclient.APIError{Message: "Bad Request"}},
		"no detail":            {`{"error":"C","message":"m"}`, sandboxclient.APIError{Code: "C", Message: "m"}},
		"null":                 {`{"detail":null,"message":"m"}`, sandboxclient.APIError{Message: "m"}},
		"detail and odd error": {`{"detail":"plain","error":{"code":1}}`, sandboxclient.APIError{Message: "plain"}},
		"number":               {`{"detail":7}`, sandboxclient.APIError{Message: "Bad Request"}},
		"no object":            {`[1]`, sandboxclient.APIError{Message: "Bad Request"}},
		"HTML":                 {"<html><h1>400</h1></html>", sandboxclient.APIError{Message: "Bad Request"}},
		"cut JSON":             {`{"detail":{"message":"m`, sandboxclient.APIError{Message: "Bad Request"}},
		"nothing":              {``, sandboxclient.APIError{Message: "Bad Request"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := client(t, &fake{answer: always(400, tt.body)}).Get(t.Context(), "a")
			api, ok := errors.AsType[*sandboxclient.APIError](err)
			if !ok {
				t.Fatalf("error %#v, want an APIError", err)
			}
			want := tt.want
			want.Op, want.Name, want.StatusCode, want.ErrorType = "get sandbox", "a", 400, want.Code
			if diff := cmp.Diff(&want, api, cmpopts.IgnoreUnexported(sandboxclient.APIError{})); diff != "" {
				t.Errorf("fields (-want +got):\n%s", diff)
			}
		})
	}
}

// TestFieldName is the last part of the path, the field itself.
func TestFieldName(t *testing.T) {
	t.Parallel()
	if got := (sandboxclient.FieldError{Path: []string{"body", "resources", "cpu"}}).Field(); got != "cpu" {
		t.Errorf("field %q, want cpu", got)
	}
	if got := (sandboxclient.FieldError{}).Field(); got != "" {
		t.Errorf("field %q of nothing", got)
	}
}

// TestInvalidOrNotStarted: both are 422 to a create; a value error tells them
// apart.
func TestInvalidOrNotStarted(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		`{"detail":[{"loc":["body"],"msg":"m","type":"value_error"}]}`:         "Invalid",
		`{"detail":[{"msg":"m","type":"other"},{"msg":"n","type":"missing"}]}`: "Provision",
		`{"detail":{"error":"ImagePull","message":"m"}}`:                       "Provision",
		`{"detail":"m"}`: "Provision",
	} {
		_, err := client(t, &fake{answer: always(422, body)}).Create(t.Context(), nil)
		if got := matched(err); got != want {
			t.Errorf("%s: %v matches %q, want %q", body, err, got, want)
		}
	}
}

// TestProxyNeedsRunningSandbox: the one refusal with this code is about the
// state when a proxy was asked for, and about nothing known otherwise.
func TestProxyNeedsRunningSandbox(t *testing.T) {
	t.Parallel()
	f := &fake{answer: always(400, `{"detail":{"error":"InvalidRequest","message":"m"}}`)}
	for want, update := range map[string]*sandboxclient.SandboxUpdate{
		"NotReady": {ProxyConfig: sandboxclient.ProxyConfig{NoProxy: []string{"h.test"}}},
		"":         {Name: "b"},
	} {
		_, err := client(t, f).Update(t.Context(), "a", update)
		if got := matched(err); got != want {
			t.Errorf("%+v: %v matches %q, want %q", update, err, got, want)
		}
	}
}

// TestQuotaTypes: no answer has a field for the quota; its message names it.
func TestQuotaTypes(t *testing.T) {
	t.Parallel()
	for message, want := range map[string]string{
		"Sandbox count exceeded": "sandbox_count", "sandbox LIMIT reached": "sandbox_count", "no more sandboxes": "",
		"CPU quota": "cpu", "Memory quota": "memory", "volume count": "volume_count", "storage of volumes": "storage",
		"something else": "", "sandbox limit: cpu": "sandbox_count",
	} {
		_, err := client(t, &fake{answer: always(429, `{"detail":"`+message+`"}`)}).Volumes.Create(t.Context(), &sandboxclient.CreateVolume{Name: "v", Size: "1Gi"})
		api, ok := errors.AsType[*sandboxclient.APIError](err)
		if !ok || api.QuotaType != want {
			t.Errorf("%q: %#v, want the quota %q", message, err, want)
		}
	}
}

// TestRetryAfterIsPassedOn to whoever repeats the call later.
func TestRetryAfterIsPassedOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for value, want := range map[string]time.Duration{
			"90": 90 * time.Second, "1.5": 1500 * time.Millisecond, "": 0, "soon": 0, "-1": 0,
			time.Now().Add(2 * time.Hour).UTC().Format(http.TimeFormat): 2 * time.Hour,
		} {
			f := &fake{answer: func(int, *http.Request) (*http.Response, error) {
				resp := reply(429, "{}")
				resp.Header.Set("Retry-After", value)
				return resp, nil
			}}
			start := time.Now()
			_, err := client(t, f).Get(t.Context(), "a")
			if api, ok := errors.AsType[*sandboxclient.APIError](err); !ok || api.RetryAfter != want {
				t.Errorf("%q: %#v, want %s", value, err, want)
			}
			if took := time.Since(start); took != 0 {
				t.Errorf("%q: the answer took %s", value, took)
			}
		}
	})
}

// TestErrorsAsLogValues: the fields one by one, and no key among them.
func TestErrorsAsLogValues(t *testing.T) {
	t.Parallel()
	_, err := client(t, &fake{answer: always(404, `{"detail":{"error":"C","message":"m","error_id":"e1"}}`)}).Get(t.Context(), "a")
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).ErrorContext(context.WithoutCancel(t.Context()), "failed", "err", err)
	want := `err.op="get sandbox" err.name=a err.status=404 err.code=C err.message=m err.error_id=e1`
	if !strings.Contains(log.String(), want) {
		t.Errorf("logged %s, want %s", log.String(), want)
	}
}
