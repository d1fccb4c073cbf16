package sandboxserver

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"

	"github.com/langsandbox/sandbox-go/gen"
)

// Codes of the error envelope, as the first generation of the API has them.
const (
	codeNotFound           = "not_found"
	codeConflict           = "Conflict"
	codeInvalidRequest     = "InvalidRequest"
	codeUnauthorized       = "Unauthorized"
	codeMisdirected        = "MisdirectedRequest"
	codeMethodNotAllowed   = "MethodNotAllowed"
	codeTooLarge           = "PayloadTooLarge"
	codeMediaType          = "UnsupportedMediaType"
	codeInternal           = "InternalError"
	codeUnavailable        = "ServiceUnavailable"
	codeQuota              = "QuotaExceeded"
	codeTimeout            = "Timeout"
	codeTemplateNotFound   = "TemplateNotFound"
	codeSnapshotNotFound   = "SnapshotNotFound"
	codeValidation         = "ValidationError"
	codeResize             = "ResizeError"
	codeVolumeProvisioning = "VolumeProvisioning"
	codeSandboxConfig      = "SandboxConfig"
	codeImagePull          = "ImagePull"
	codeCrashLoop          = "CrashLoop"
	codeUnschedulable      = "Unschedulable"
	codeNotSupported       = "NotSupported"
	codeNotReady           = "NotReady"
	codeCommand            = "CommandError"
	codeCommandTimeout     = "CommandTimeout"
	codeFileNotFound       = "FileNotFound"
	codeForbidden          = "Forbidden"
	codeConnection         = "ConnectionError"
	codePermission         = "PermissionDenied"
	codeRead               = "ReadError"
	codeWrite              = "WriteError"
)

// retryAfterQuota is what a 429 asks for: a quota frees up when somebody
// deletes something, which takes a while.
const retryAfterQuota = 5

// apiError is an answer other than success. With fields it is the list of
// input problems, otherwise the object with code and message.
type apiError struct {
	status  int
	code    string
	message string
	fields  []gen.FieldError

	retryAfter int    // seconds; 0 sends no Retry-After
	allow      string // methods, for 405
	final      bool   // tells clients that retry by status not to
	cause      error  // for the log, never sent
}

func (e *apiError) Error() string {
	text := e.message
	if len(e.fields) > 0 {
		text = e.fields[0].Msg
	}
	if e.cause != nil {
		return text + ": " + e.cause.Error()
	}
	return text
}

func (e *apiError) Unwrap() error { return e.cause }

func problem(status int, code, format string, args ...any) *apiError {
	return &apiError{status: status, code: code, message: fmt.Sprintf(format, args...)}
}

func notFound(kind, name string) *apiError {
	return problem(http.StatusNotFound, codeNotFound, "%s %q not found", kind, name)
}

// notSupported is the answer to what a server on one machine cannot do. It
// says what that is.
func notSupported(what string) *apiError {
	e := problem(http.StatusNotImplemented, codeNotSupported, "this server does not have %s", what)
	e.final = true
	return e
}

func nameTaken(kind, name string) *apiError {
	return problem(http.StatusConflict, codeConflict, "a %s named %q exists", kind, name)
}

// invalid is the answer to one problem of a request body; path leads to the
// member.
func invalid(message string, path ...any) *apiError {
	return invalidFields(fieldError(message, append([]any{"body"}, path...)))
}

func invalidFields(fields ...gen.FieldError) *apiError {
	return &apiError{status: http.StatusUnprocessableEntity, fields: fields}
}

func fieldError(message string, loc []any) gen.FieldError {
	return gen.FieldError{Loc: loc, Msg: message, Type: "value_error"}
}

func internalError(what string, cause error) *apiError {
	return &apiError{status: http.StatusInternalServerError, code: codeInternal, message: what, cause: cause}
}

// asAPIError gives every error a status. What is not an apiError is a fault of
// this server, whose text stays in the log.
func asAPIError(err error) *apiError {
	if e, ok := errors.AsType[*apiError](err); ok {
		return e
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return &apiError{
			status: http.StatusServiceUnavailable, code: codeUnavailable,
			message: "the request was cut short, because the client or the server ended", cause: err,
		}
	}
	return internalError("internal error", err)
}

// writeError sends an error in the envelope of the API and logs what the
// client is not told.
func writeError(w http.ResponseWriter, r *http.Request, log *slog.Logger, err error) {
	e := asAPIError(err)
	var id string
	if e.status == http.StatusInternalServerError {
		id = randomHex(8)
		log.ErrorContext(r.Context(), "request failed", "method", r.Method, "path", loggedPath(r), "error_id", id, "error", err)
	}
	header := w.Header()
	if e.retryAfter > 0 {
		header.Set("Retry-After", strconv.Itoa(e.retryAfter))
	}
	if e.allow != "" {
		header.Set("Allow", e.allow)
	}
	if e.final {
		header.Set("X-Should-Retry", "false")
	}
	writeJSON(w, e.status, e.body(id))
}

func (e *apiError) body(id string) any {
	type envelope struct {
		Detail any `json:"detail"`
	}
	if len(e.fields) > 0 {
		return envelope{e.fields}
	}
	return envelope{gen.ErrorObject{Error: e.code, Message: e.message, ErrorID: id}}
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// The status is out: a failure now is a broken connection, which the
	// client sees for itself.
	_ = json.NewEncoder(w).Encode(body) //nolint:errchkjson // wire types, all of which encode
}

func randomHex(bytes int) string {
	b := make([]byte, bytes)
	_, _ = rand.Read(b) // never fails, see crypto/rand
	return hex.EncodeToString(b)
}
