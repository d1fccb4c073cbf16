package sandboxserver

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"sync"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"

	sandbox "github.com/langsandbox/sandbox-go"
	"github.com/langsandbox/sandbox-go/gen"
)

// contract is the API description, against which requests are checked.
type contract struct {
	doc *openapi3.T
}

// loadContract parses the description once for all servers of the program,
// which only read it.
var loadContract = sync.OnceValues(func() (*contract, error) {
	doc, err := openapi3.NewLoader().LoadFromData(sandbox.OpenAPI)
	if err != nil {
		return nil, fmt.Errorf("sandboxserver: API description: %w", err)
	}
	return &contract{doc}, nil
})

// operation is one operation of the contract.
type operation struct {
	route      routers.Route
	names      []string // of its path parameters
	serviceKey bool
}

// operation finds an operation by method and path template. One that does not
// exist is a fault of this program.
func (c *contract) operation(method, path string) operation {
	item := c.doc.Paths.Value(path)
	if item == nil || item.GetOperation(method) == nil {
		panic("sandboxserver: the contract has no " + method + " " + path)
	}
	own := *item.GetOperation(method)
	security := c.doc.Security
	if own.Security != nil {
		security = *own.Security
	}
	// authorize checks the key; the validator would read bodies for it, also
	// those that are streamed.
	own.Security = openapi3.NewSecurityRequirements()
	op := operation{route: routers.Route{Spec: c.doc, Path: path, PathItem: item, Method: method, Operation: &own}}
	for _, p := range item.Parameters {
		if p.Value.In == openapi3.ParameterInPath {
			op.names = append(op.names, p.Value.Name)
		}
	}
	for _, requirement := range security {
		if _, ok := requirement["serviceKey"]; ok {
			op.serviceKey = true
		}
	}
	return op
}

// check validates a request, and leaves its body to be read again.
func (op operation) check(w http.ResponseWriter, r *http.Request) error {
	if err := op.readBody(w, r); err != nil {
		return err
	}
	return op.validate(r, op.route.Operation.RequestBody == nil)
}

// validate checks a request against the contract; without its body, where
// that is streamed.
func (op operation) validate(r *http.Request, skipBody bool) error {
	params := make(map[string]string, len(op.names))
	for _, name := range op.names {
		params[name] = r.PathValue(name)
	}
	err := openapi3filter.ValidateRequest(r.Context(), &openapi3filter.RequestValidationInput{
		Request: r, PathParams: params, Route: &op.route,
		Options: &openapi3filter.Options{MultiError: true, ExcludeRequestBody: skipBody},
	})
	if err == nil {
		return nil
	}
	return &apiError{status: http.StatusUnprocessableEntity, fields: problems(err, nil)}
}

// readBody reads a JSON body whole, within the limit.
func (op operation) readBody(w http.ResponseWriter, r *http.Request) error {
	if op.route.Operation.RequestBody == nil || r.Body == nil {
		return nil
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody)) //nolint:forbidigo // bounded
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return problem(http.StatusRequestEntityTooLarge, codeTooLarge, "the body is larger than %d bytes", maxBody)
	}
	if err != nil {
		return &apiError{status: http.StatusBadRequest, code: codeInvalidRequest, message: "the body could not be read", cause: err}
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	r.ContentLength = int64(len(body))
	if len(body) == 0 {
		return nil
	}
	if r.Header.Get("Content-Type") == "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return problem(http.StatusUnsupportedMediaType, codeMediaType, "the body must be application/json")
	}
	if !json.Valid(body) {
		return invalid("the body is not valid JSON")
	}
	return nil
}

// undecodable is for bodies that fit the schema and not the types, such as
// numbers beyond their range.
func undecodable(err error) error {
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && e.Field != "" {
		return invalidFields(gen.FieldError{
			Loc: []any{"body", e.Field}, Msg: e.Field + " is out of range", Type: "value_error",
		})
	}
	return invalid("the body cannot be understood")
}
