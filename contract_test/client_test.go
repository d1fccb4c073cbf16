package contract_test

import (
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/go-cmp/cmp"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

const (
	playedBase = "https://api.test"
	playedKey  = "lsv2_contract"
)

// player is a transport that answers each operation with one answer, and holds
// the headers of requests to what the contract asks for.
type player struct {
	doc     *openapi3.T
	answers map[string]sample

	mu       sync.Mutex
	requests []played
	problems []string
}

// played is what a player saw of a request.
type played struct {
	op    string
	query map[string][]string
	body  string
}

// RoundTrip answers the operation of the request.
func (p *player) RoundTrip(req *http.Request) (*http.Response, error) {
	route, _, err := match(p.doc, "/v2/sandboxes", req.Method, req.URL.EscapedPath())
	if err != nil {
		return nil, err
	}
	seen := played{op: route.Operation.OperationID, query: req.URL.Query()}
	if req.Body != nil {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return nil, err
		}
		seen.body = string(body)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.requests = append(p.requests, seen)
	want := map[string]string{"X-Api-Key": playedKey, "User-Agent": "langsandbox-go/", "Content-Type": ""}
	if route.Operation.RequestBody != nil {
		for media := range route.Operation.RequestBody.Value.Content {
			want["Content-Type"] = media
		}
	}
	for key, value := range want {
		if got := req.Header.Get(key); !strings.HasPrefix(got, value) || value == "" && got != "" {
			p.problems = append(p.problems, seen.op+": header "+key+" is "+got+", want "+value)
		}
	}
	answer, ok := p.answers[seen.op]
	if !ok {
		return nil, errors.New("there is no answer to " + seen.op)
	}
	header := http.Header{"Content-Type": {"application/json"}}
	if seen.op == "download" && answer.status == http.StatusOK {
		header.Set("Content-Type", "application/octet-stream")
	}
	return &http.Response{StatusCode: answer.status, Header: header, Body: io.NopCloser(strings.NewReader(answer.body)), Request: req}, nil
}

// ops are the operations that were asked for.
func (p *player) ops() []string {
	var ops []string
	for _, r := range p.requests {
		ops = append(ops, r.op)
	}
	return ops
}

// play drives a row against one answer to its operation, with both directions
// held to the contract, and returns what the facade made of it.
func play(t *testing.T, row contractRow, answer sample) (*player, *fixture, error) {
	t.Helper()
	p := &player{doc: specOf(t), answers: map[string]sample{row.op: answer}}
	for _, op := range row.also {
		p.answers[op] = samples[op][0]
	}
	c, err := sandboxclient.New(
		sandboxclient.WithEnvironment(func(string) string { return "" }),
		sandboxclient.WithEndpoint(playedBase+"/v2/sandboxes"), sandboxclient.WithAPIKey(playedKey),
		sandboxclient.WithHTTPClient(&http.Client{Transport: newChecker(t, "/v2/sandboxes", p)}),
		sandboxclient.WithRetry(sandboxclient.RetryPolicy{}),
	)
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{volume: "the volume", template: "the/template", pool: "the-pool", snapshot: "the/snapshot:1", registry: "the registry", box: "the%2Fbox?"}
	f.snapshotName, f.image, f.none = "the/snapshot", "img:1", "none"
	f.info = sandboxclient.Info{Name: f.box, DataplaneURL: playedBase + "/sb-1"}
	err = row.drive(t.Context(), c, f)
	for _, problem := range p.problems {
		t.Error(problem)
	}
	return p, f, err
}

// TestClientContract: every row asks for its operation and no other, in the
// terms of the contract, and returns all that an answer in the same terms says.
func TestClientContract(t *testing.T) {
	t.Parallel()
	for _, row := range contractRows {
		t.Run(row.op+" by "+row.method, func(t *testing.T) {
			t.Parallel()
			for i, answer := range samples[row.op] {
				p, f, err := play(t, row, answer)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(append([]string{row.op}, row.also...), p.ops()); diff != "" {
					t.Errorf("operations (-want +got):\n%s", diff)
				}
				if full := i == len(samples[row.op])-1; full && f.got != nil {
					comparePlayed(t, answer.body, f.got)
				}
			}
		})
	}
}

// comparePlayed compares an answer to what the facade returned, by the JSON of
// both: the generated types are the facade's.
func comparePlayed(t *testing.T, answer string, got any) {
	t.Helper()
	switch got := got.(type) {
	case string:
		if got != answer {
			t.Errorf("content %q, want %q", got, answer)
		}
		return
	case *sandboxclient.Result:
		if diff := cmp.Diff(&sandboxclient.Result{Stdout: "out", Stderr: "err", ExitCode: 3}, got); diff != "" {
			t.Errorf("result (-want +got):\n%s", diff)
		}
		return
	}
	raw, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	want, is := exactly(t, answer), exactly(t, string(raw))
	if members, ok := want.(map[string]any); ok && members["name"] == nil { // a list; what it lists has a name
		for _, list := range []string{"items", "volumes", "templates", "pools", "snapshots", "registries", "sandboxes"} {
			if items, ok := members[list]; ok {
				want = items
			}
		}
	}
	if diff := cmp.Diff(want, is); diff != "" {
		t.Errorf("returned (-answer +facade):\n%s", diff)
	}
}

// exactly decodes JSON and keeps all digits of its numbers.
func exactly(t *testing.T, raw string) any {
	t.Helper()
	decoder := json.NewDecoder(strings.NewReader(raw))
	decoder.UseNumber()
	var v any
	if err := decoder.Decode(&v); err != nil {
		t.Fatalf("%s: %v", raw, err)
	}
	return v
}

// TestClientErrors: every error that the contract names for an operation, in
// the three shapes of the envelope, is an APIError that keeps status and text.
func TestClientErrors(t *testing.T) {
	t.Parallel()
	bodies := []string{
		`{"detail":{"error":"Some","message":"the text","error_id":"e1"}}`,
		`{"detail":[{"loc":["body","a",0],"msg":"the text","type":"value_error"}]}`,
		`{"detail":"the text"}`,
	}
	ops := operations(specOf(t))
	for _, row := range contractRows {
		t.Run(row.op+" by "+row.method, func(t *testing.T) {
			t.Parallel()
			statuses := []int{http.StatusTeapot, http.StatusInternalServerError} // both are default
			for status := range ops[row.op].Operation.Responses.Map() {
				var code int
				if json.Unmarshal([]byte(status), &code) == nil && code >= 400 {
					statuses = append(statuses, code)
				}
			}
			if len(statuses) < 3 {
				t.Errorf("the contract names no error but the default")
			}
			for _, status := range statuses {
				for _, body := range bodies {
					_, _, err := play(t, row, sample{status, body})
					api, ok := errors.AsType[*sandboxclient.APIError](err)
					if !ok || api.StatusCode != status || api.Message != "the text" {
						t.Errorf("%d %s became %#v", status, body, err)
					}
				}
			}
		})
	}
}

// TestSamples: every operation that the facade reaches has answers, and there
// are no others.
func TestSamples(t *testing.T) {
	t.Parallel()
	var driven []string
	for _, row := range contractRows {
		driven = append(driven, row.op)
	}
	slices.Sort(driven)
	if diff := cmp.Diff(slices.Compact(driven), slices.Sorted(maps.Keys(samples))); diff != "" {
		t.Errorf("operations with answers (-driven +answered):\n%s", diff)
	}
}
