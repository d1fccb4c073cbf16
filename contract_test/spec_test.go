package contract_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
)

// loadSpec is the contract, read from disk so that nothing needs to embed it.
var loadSpec = sync.OnceValues(func() (*openapi3.T, error) {
	doc, err := openapi3.NewLoader().LoadFromFile(filepath.Join("..", "openapi.yaml"))
	if err != nil {
		return nil, err
	}
	return doc, doc.Validate(context.Background())
})

func specOf(t *testing.T) *openapi3.T {
	t.Helper()
	doc, err := loadSpec()
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// operations are all of the contract, by id.
func operations(doc *openapi3.T) map[string]*routers.Route {
	found := map[string]*routers.Route{}
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			found[op.OperationID] = &routers.Route{Spec: doc, Path: path, PathItem: item, Method: method, Operation: op}
		}
	}
	return found
}

// match finds the operation of a request. Control-plane paths are below
// prefix; those with servers of their own are the end of any address.
func match(doc *openapi3.T, prefix, method, escapedPath string) (*routers.Route, map[string]string, error) {
	var best *routers.Route
	var params map[string]string
	for _, route := range operations(doc) {
		if route.Method != method {
			continue
		}
		path, ok := strings.CutPrefix(escapedPath, prefix)
		if route.PathItem.Servers != nil {
			path, ok = tail(escapedPath, strings.Count(route.Path, "/")), true
		}
		found, fits := bind(route.Path, path)
		// A fixed segment wins over a parameter, as in batch-delete.
		if ok && fits && (best == nil || len(found) < len(params)) {
			best, params = route, found
		}
	}
	if best == nil {
		return nil, nil, fmt.Errorf("%s %s is no operation of the contract", method, escapedPath)
	}
	return best, params, nil
}

// tail is the last segments of a path.
func tail(path string, segments int) string {
	at := len(path)
	for range segments {
		at = strings.LastIndex(path[:max(at, 0)], "/")
	}
	return path[max(at, 0):]
}

func bind(template, path string) (map[string]string, bool) {
	want, got := strings.Split(template, "/"), segments(path)
	if len(want) != len(got) {
		return nil, false
	}
	params := map[string]string{}
	for i, w := range want {
		if strings.HasPrefix(w, "{") {
			params[strings.Trim(w, "{}")] = got[i]
		} else if w != got[i] {
			return nil, false
		}
	}
	return params, true
}

// checker is a transport that holds every exchange to the contract and
// notes which operation it was.
type checker struct {
	doc    *openapi3.T
	prefix string
	next   http.RoundTripper
	before func(*http.Request) // called before a request is sent on
	lose   string              // operation whose answers are lost on their way

	mu       sync.Mutex
	seen     map[string][]int // statuses by operation id
	problems []string
}

func newChecker(t *testing.T, prefix string, next http.RoundTripper) *checker {
	t.Helper()
	c := &checker{doc: specOf(t), prefix: prefix, next: next, seen: map[string][]int{}}
	t.Cleanup(func() {
		for _, p := range c.problems {
			t.Error(p)
		}
	})
	return c
}

// RoundTrip validates the request, sends it on, and validates the answer.
func (c *checker) RoundTrip(req *http.Request) (*http.Response, error) {
	route, params, err := match(c.doc, c.prefix, req.Method, req.URL.EscapedPath())
	if err != nil {
		c.fail("%v", err)
		return c.next.RoundTrip(req)
	}
	id := route.Operation.OperationID
	if err := keepBody(&req.Body); err != nil {
		return nil, err
	}
	input := &openapi3filter.RequestValidationInput{
		Request: req, PathParams: params, Route: route,
		Options: &openapi3filter.Options{
			MultiError:            true,
			AuthenticationFunc:    openapi3filter.NoopAuthenticationFunc,
			IncludeResponseStatus: true,
		},
	}
	if err := openapi3filter.ValidateRequest(req.Context(), input); err != nil {
		c.fail("%s: request: %v", id, err)
	}
	if c.before != nil {
		c.before(req)
	}
	resp, err := c.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	if id == c.lose {
		_ = resp.Body.Close()
		return nil, io.ErrUnexpectedEOF
	}
	if err := keepBody(&resp.Body); err != nil {
		return nil, err
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	answer := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: input, Status: resp.StatusCode, Header: resp.Header, Options: input.Options,
	}
	if err := openapi3filter.ValidateResponse(req.Context(), answer.SetBodyBytes(body)); err != nil {
		c.fail("%s: answer %d %s: %v", id, resp.StatusCode, body, err)
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen[id] = append(c.seen[id], resp.StatusCode)
	return resp, nil
}

func (c *checker) fail(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.problems = append(c.problems, fmt.Sprintf(format, args...))
}

// takeProblems returns what was wrong since it was last asked.
func (c *checker) takeProblems() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	problems := c.problems
	c.problems = nil
	return problems
}

// keepBody reads a body into memory, so that it can be read twice.
func keepBody(body *io.ReadCloser) error {
	if *body == nil || *body == http.NoBody {
		return nil
	}
	data, err := io.ReadAll(*body)
	if err != nil {
		return err
	}
	err = (*body).Close()
	*body = io.NopCloser(bytes.NewReader(data))
	return err
}
