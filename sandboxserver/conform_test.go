package sandboxserver

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"

	"github.com/getkin/kin-openapi/openapi3filter"
)

// conforms holds every answer the tests see to the API description.
func (b *bench) conforms(r *http.Request, a answer) {
	b.t.Helper()
	_, pattern := b.server.mux.Handler(r)
	method, path, ok := strings.Cut(pattern, " ")
	for _, prefix := range prefixes {
		path = strings.TrimPrefix(path, prefix)
	}
	if name, op, isData := dataplaneRoute(r.URL.EscapedPath()); isData && b.server.isDataplane(op) && name != "" {
		method, path, ok = r.Method, "/"+op, true
	}
	if !ok || a.status == http.StatusMethodNotAllowed || a.status == 206 || a.status == 304 || a.status == 416 {
		return
	}
	op := b.server.contract.operation(method, path)
	input := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: r, Route: &op.route},
		Status:                 a.status,
		Header:                 a.header,
		Body:                   io.NopCloser(bytes.NewReader([]byte(a.body))),
		Options:                &openapi3filter.Options{IncludeResponseStatus: true},
	}
	if err := openapi3filter.ValidateResponse(context.Background(), input); err != nil {
		b.t.Errorf("%s %s: the answer does not fit the description: %v\n%d %s", r.Method, r.URL, err, a.status, a.body)
	}
}
