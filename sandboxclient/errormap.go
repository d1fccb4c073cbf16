package sandboxclient

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/langsandbox/sandbox-go/internal/transport"
)

const (
	resourceVolume   = "volume"
	resourceTemplate = "template"
	resourcePool     = "pool"
	resourceRegistry = "registry"
	resourceSandbox  = "sandbox"
	resourceSnapshot = "snapshot"
	resourceFile     = "file"
)

// rule turns one answer into a kind of error. Zero fields match anything, or
// leave the error as it is.
type rule struct {
	status    int
	code      string
	match     func(*APIError) bool
	kinds     []error
	resource  string
	errorType string
	operation string
}

func (r rule) matches(e *APIError) bool {
	return (r.status == 0 || r.status == e.StatusCode) &&
		(r.code == "" || r.code == e.Code) &&
		(r.match == nil || r.match(e))
}

func kinds(k ...error) []error { return k }

func notFound(resource string) rule {
	return rule{status: http.StatusNotFound, kinds: kinds(ErrNotFound), resource: resource}
}

// generic holds for every operation of the control plane, after its own rules.
var generic = []rule{
	{status: http.StatusUnauthorized, kinds: kinds(ErrUnauthorized)},
	{status: http.StatusForbidden, kinds: kinds(ErrForbidden)},
	{status: http.StatusNotFound, kinds: kinds(ErrNotFound)},
	{status: http.StatusConflict, kinds: kinds(ErrConflict)},
	{status: http.StatusUnprocessableEntity, kinds: kinds(ErrInvalid)},
	{status: http.StatusTooManyRequests, kinds: kinds(ErrQuota)},
	{status: http.StatusBadGateway, code: "ConnectionError", kinds: kinds(ErrConnection, ErrUnavailable)},
	{status: http.StatusBadGateway, kinds: kinds(ErrUnavailable)},
	{status: http.StatusServiceUnavailable, kinds: kinds(ErrUnavailable)},
	{status: http.StatusGatewayTimeout, kinds: kinds(ErrUnavailable)},
	{status: http.StatusInternalServerError, kinds: kinds(ErrServer)},
	{status: http.StatusNotImplemented, kinds: kinds(ErrUnsupported)},
}

// dataplane holds for commands and files, instead of generic.
var dataplane = []rule{
	{code: "WriteError", kinds: kinds(ErrOperation), operation: "write"},
	{code: "ReadError", kinds: kinds(ErrOperation), operation: "read"},
	{code: "CommandError", kinds: kinds(ErrOperation), operation: "command"},
	{code: "CommandTimeout", kinds: kinds(ErrOperation, ErrCommandTimeout, ErrTimeout), operation: "command"},
	{status: http.StatusForbidden, kinds: kinds(ErrOperation, ErrForbidden), errorType: "PermissionDenied"},
	{status: http.StatusBadGateway, code: "ConnectionError", kinds: kinds(ErrConnection, ErrUnavailable)},
	{status: http.StatusBadRequest, code: "NotReady", kinds: kinds(ErrNotReady)},
	{status: http.StatusServiceUnavailable, code: "ServiceUnavailable", kinds: kinds(ErrNotReady, ErrUnavailable)},
	{status: http.StatusRequestEntityTooLarge, kinds: kinds(ErrTooLarge)},
	notFound(resourceFile),
	{code: "FileNotFound", kinds: kinds(ErrNotFound), resource: resourceFile},
	{status: http.StatusUnauthorized, kinds: kinds(ErrUnauthorized)},
	{status: http.StatusConflict, kinds: kinds(ErrConflict)},
	{status: http.StatusUnprocessableEntity, kinds: kinds(ErrInvalid)},
	{status: http.StatusTooManyRequests, kinds: kinds(ErrQuota)},
	{status: http.StatusBadGateway, kinds: kinds(ErrUnavailable)},
	{status: http.StatusServiceUnavailable, kinds: kinds(ErrUnavailable)},
	{status: http.StatusGatewayTimeout, kinds: kinds(ErrUnavailable)},
	{status: http.StatusInternalServerError, kinds: kinds(ErrServer)},
}

// classify completes an error by the first rule that matches.
func (e *APIError) classify(rules ...[]rule) {
	e.ErrorType = e.Code
	for _, set := range rules {
		for _, r := range set {
			if !r.matches(e) {
				continue
			}
			e.kinds, e.ResourceType, e.Operation = r.kinds, r.resource, r.operation
			if r.errorType != "" {
				e.ErrorType = r.errorType
			}
			if e.is(ErrQuota) {
				e.QuotaType = quotaType(e.Message)
			}
			return
		}
	}
}

// quotaType reads the quota from a message, as no answer has a field for it.
func quotaType(message string) string {
	m := strings.ToLower(message)
	counted := strings.Contains(m, "count") || strings.Contains(m, "limit")
	switch {
	case strings.Contains(m, "sandbox") && counted:
		return "sandbox_count"
	case strings.Contains(m, "cpu"):
		return "cpu"
	case strings.Contains(m, "memory"):
		return "memory"
	case strings.Contains(m, "volume") && counted:
		return "volume_count"
	case strings.Contains(m, "storage"):
		return "storage"
	default:
		return ""
	}
}

// maxErrorBody is as much as is read of an answer that is no success.
const maxErrorBody = 64 << 10

// readError makes an error of an answer that is no success; the caller closes
// the body.
func readError(op string, resp *http.Response) *APIError {
	e := &APIError{Op: op, StatusCode: resp.StatusCode}
	e.RetryAfter, _ = transport.RetryAfter(resp.Header)
	if location := resp.Header.Get("Location"); location != "" && resp.StatusCode/100 == 3 {
		e.Message = "refused to follow a redirect"
		if u, err := resp.Location(); err == nil {
			e.Message += " to " + u.Host
		}
		return e
	}
	body, err := transport.ReadHead(resp.Body, maxErrorBody)
	e.cause = err
	e.parse(body)
	if e.Message == "" {
		e.Message = strings.TrimSpace(http.StatusText(resp.StatusCode))
	}
	if e.Message == "" {
		e.Message = "unexpected status"
	}
	return e
}

// parse reads the three shapes of the error envelope, and the one without it.
// What does not fit stays empty.
func (e *APIError) parse(body []byte) {
	type object struct {
		Error   string `json:"error"`
		Message string `json:"message"`
		ErrorID string `json:"error_id"`
	}
	var envelope struct {
		Detail json.RawMessage `json:"detail"`
		object
	}
	_ = json.Unmarshal(body, &envelope)
	detail := envelope.object
	switch {
	case len(envelope.Detail) == 0:
	case envelope.Detail[0] == '"':
		_ = json.Unmarshal(envelope.Detail, &e.Message)
		return
	case envelope.Detail[0] == '[':
		e.parseFields(envelope.Detail)
		return
	default:
		_ = json.Unmarshal(envelope.Detail, &detail)
	}
	e.Code, e.Message, e.RequestID = detail.Error, detail.Message, detail.ErrorID
}

func (e *APIError) parseFields(detail []byte) {
	var items []struct {
		Loc  []any  `json:"loc"`
		Msg  string `json:"msg"`
		Type string `json:"type"`
	}
	_ = json.Unmarshal(detail, &items)
	var messages []string
	for _, item := range items {
		f := FieldError{Message: item.Msg, Type: item.Type}
		for _, part := range item.Loc {
			f.Path = append(f.Path, fmt.Sprint(part))
		}
		e.Fields = append(e.Fields, f)
		if item.Msg != "" {
			messages = append(messages, item.Msg)
		}
	}
	e.Message = strings.Join(messages, "; ")
}

// sendError makes an error of a request without an answer.
func sendError(op string, err error, effect bool) *APIError {
	e := &APIError{Op: op, Message: err.Error(), cause: err}
	switch {
	case errors.Is(err, transport.ErrPlaintext):
		e.kinds = kinds(ErrInvalid)
	case transport.Unsent(err):
		e.kinds = kinds(ErrConnection)
	case effect:
		e.kinds = kinds(ErrConnection, ErrOutcomeUnknown)
	default:
		e.kinds = kinds(ErrConnection)
	}
	if late(err) {
		e.kinds = append(e.kinds, ErrTimeout)
	}
	return e
}

func late(err error) bool {
	return transport.TimedOut(err) || errors.Is(err, context.DeadlineExceeded)
}
