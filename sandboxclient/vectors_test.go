package sandboxclient_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

// TestBlockingVectors: commands that are one request each, by numbers.
func TestBlockingVectors(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		status int
		body   string
		result *sandboxclient.Result
		kinds  []error
		text   string
		not    string
	}{
		"T023": {status: 200, body: `{"stdout":"hello\n","stderr":"","exit_code":0}`, result: &sandboxclient.Result{Stdout: "hello\n"}},
		"T024": {status: 200, body: `{"stdout":"","stderr":"command not found\n","exit_code":127}`, result: &sandboxclient.Result{Stderr: "command not found\n", ExitCode: 127}},
		"T025": {status: 200, body: `{}`, result: &sandboxclient.Result{ExitCode: -1}},
		"T027": {status: 503, body: `{"detail":{"error":"ServiceUnavailable","message":"Sandbox is starting: sb-123"}}`, kinds: []error{sandboxclient.ErrNotReady}, text: "Sandbox is starting"},
		"T028": {status: 400, body: `{"detail":{"error":"NotReady","message":"m"}}`, kinds: []error{sandboxclient.ErrNotReady}, text: "m"},
		"T029": {status: 500, body: `{"detail":{"error":"CommandError","message":"boom"}}`, kinds: []error{sandboxclient.ErrOperation}, text: "boom"},
		"T030": {status: 403, body: `{"detail":{"error":"Forbidden","message":"no"}}`, kinds: []error{sandboxclient.ErrOperation, sandboxclient.ErrForbidden}, text: "no"},
		"T031": {status: 502, body: `{"detail":{"error":"ConnectionError","message":"c"}}`, kinds: []error{sandboxclient.ErrConnection}, text: "c"},
		"T032": {status: 422, body: `{"detail":[{"loc":["body","command"],"msg":"field required","type":"value_error"},{"loc":["body"],"msg":"bad","type":"x"}]}`, kinds: []error{sandboxclient.ErrInvalid}, text: "field required; bad"},
		"T033": {status: 400, body: `{"detail":"plain text"}`, text: "plain text"},
		"T034": {status: 502, body: `<html>secret trouble</html>`, kinds: []error{sandboxclient.ErrUnavailable}, not: "secret"},
		"T035": {status: 500, body: `{"detail":{"message":"m","error_id":"e1"}}`, text: "e1"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := box(client(t, &fake{answer: always(tt.status, tt.body)})).Execute(t.Context(), "x", nil)
			if diff := cmp.Diff(tt.result, got); diff != "" {
				t.Errorf("result (-want +got):\n%s", diff)
			}
			for _, kind := range tt.kinds {
				if !errors.Is(err, kind) {
					t.Errorf("%v is no %v", err, kind)
				}
			}
			if tt.result == nil && (err == nil || !strings.Contains(err.Error(), tt.text) || tt.not != "" && strings.Contains(err.Error(), tt.not)) {
				t.Errorf("error %v, want %q", err, tt.text)
			}
		})
	}
}

func TestT021T022Body(t *testing.T) {
	t.Parallel()
	bodies := map[string]*sandboxclient.ExecuteOptions{
		`{"command":"echo hello","timeout":60,"shell":"/bin/bash"}`: nil,
		`{"command":"echo hello","cwd":"/srv","env":{"NAME":"value"},"shell":"/bin/sh","timeout":12}`: {
			Timeout: 12 * sec, Env: map[string]string{"NAME": "value"}, Dir: "/srv", ShellPath: "/bin/sh",
		},
	}
	for want, opts := range bodies {
		f := &fake{answer: always(200, `{}`)}
		if _, err := box(client(t, f)).Execute(t.Context(), "echo hello", opts); err != nil {
			t.Fatal(err)
		}
		if got := f.requests()[0].body; !sameJSON(t, got, want) {
			t.Errorf("body %s, want %s", got, want)
		}
	}
}

func TestT026T039NothingSent(t *testing.T) {
	t.Parallel()
	f := &fake{answer: func(int, *http.Request) (*http.Response, error) { return nil, errors.New("connection refused") }}
	if _, err := box(client(t, f)).Execute(t.Context(), "", nil); !errors.Is(err, sandboxclient.ErrInvalid) || len(f.requests()) != 0 {
		t.Errorf("T026: %d requests, error %v", len(f.requests()), err)
	}
	if _, err := box(client(t, f)).Execute(t.Context(), "x", nil); !errors.Is(err, sandboxclient.ErrConnection) {
		t.Errorf("T039: error %v", err)
	}
}

func TestT036GivenUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fake{answer: func(_ int, req *http.Request) (*http.Response, error) {
			<-req.Context().Done()
			return nil, req.Context().Err()
		}}
		began := time.Now()
		_, err := box(client(t, f)).Execute(t.Context(), "x", &sandboxclient.ExecuteOptions{Timeout: time.Minute})
		if took := time.Since(began); took != 70*sec || !errors.Is(err, sandboxclient.ErrTimeout) {
			t.Errorf("after %s: %v", took, err)
		}
	})
}

// TestVectorsHaveTests: every numbered case of the reference but those of the
// stream of events, which is not offered, is named in a test of this
// repository.
func TestVectorsHaveTests(t *testing.T) {
	t.Parallel()
	none := map[int]string{
		13:  "an Origin is a browser's; none is sent",
		203: "a Service can always renew its token",
		37:  "run_config is not offered", 38: "run_config is not offered",
		99: "the WebSocket library cannot be missing", 100: "the WebSocket library cannot be missing",
	}
	var text strings.Builder
	for _, dir := range []string{".", "../sandboxserver", "../internal/session", "../internal/mux", "../contract_test"} {
		files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %d files, %v", dir, len(files), err)
		}
		for _, name := range files {
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			text.Write(data)
		}
	}
	var missing []string
	for _, section := range [][2]int{{1, 169}, {190, 258}} {
		for n := section[0]; n <= section[1]; n++ {
			number := fmt.Sprintf("T%03d", n)
			if named := strings.Contains(text.String(), number); named == (none[n] != "") {
				missing = append(missing, number)
			}
		}
	}
	if len(missing) > 0 {
		t.Errorf("no test names %s", strings.Join(slices.Compact(missing), ", "))
	}
}

func sameJSON(t *testing.T, a, b string) bool {
	t.Helper()
	var objects [2]frame
	for i, text := range []string{a, b} {
		if err := json.Unmarshal([]byte(text), &objects[i]); err != nil {
			t.Fatal(err)
		}
	}
	return cmp.Equal(objects[0], objects[1])
}
