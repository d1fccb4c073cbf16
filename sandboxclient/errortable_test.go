package sandboxclient_test

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

// sentinels are all that an error can match, by name.
var sentinels = map[string]error{
	"Invalid": sandboxclient.ErrInvalid, "Unauthorized": sandboxclient.ErrUnauthorized, "Forbidden": sandboxclient.ErrForbidden,
	"NotFound": sandboxclient.ErrNotFound, "Conflict": sandboxclient.ErrConflict, "Exists": sandboxclient.ErrExists,
	"NameConflict": sandboxclient.ErrNameConflict, "InUse": sandboxclient.ErrInUse, "Quota": sandboxclient.ErrQuota,
	"NotReady": sandboxclient.ErrNotReady, "NoDataplane": sandboxclient.ErrNoDataplane, "Provision": sandboxclient.ErrProvision,
	"Timeout": sandboxclient.ErrTimeout, "Connection": sandboxclient.ErrConnection, "Unavailable": sandboxclient.ErrUnavailable,
	"Server": sandboxclient.ErrServer, "Protocol": sandboxclient.ErrProtocol, "Operation": sandboxclient.ErrOperation,
	"CommandTimeout": sandboxclient.ErrCommandTimeout, "OutcomeUnknown": sandboxclient.ErrOutcomeUnknown, "TooLarge": sandboxclient.ErrTooLarge,
	"Unsupported": sandboxclient.ErrUnsupported, "fs.NotExist": fs.ErrNotExist, "fs.Permission": fs.ErrPermission,
}

// matched names all sentinels that err matches.
func matched(err error) string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(sentinels)) {
		if errors.Is(err, sentinels[name]) {
			names = append(names, name)
		}
	}
	return strings.Join(names, " ")
}

// answerRow is an answer to a call and the error that comes of it.
type answerRow struct {
	op       string
	status   int
	code     string // in the envelope; the message is "m"
	kinds    string // all that the error matches, sorted
	resource string
	typ      string // ErrorType, where it is not the code
	part     string // Operation
}

// controlRows are the answers of the control plane that mean something of
// their own; what all operations share is in sharedRows.
var controlRows = []answerRow{
	{"create volume", 409, "Conflict", "Conflict Exists", "volume", "", ""},
	{"create volume", 503, "StorageClass", "Provision", "volume", "VolumeProvisioning", ""},
	{"create volume", 504, "Timeout", "Timeout", "volume", "", ""},
	{"get volume", 404, "NotFound", "NotFound", "volume", "", ""},
	{"update volume", 400, "ResizeError", "Invalid", "", "VolumeResize", ""},
	{"update volume", 404, "NotFound", "NotFound", "volume", "", ""},
	{"update volume", 409, "Conflict", "Conflict NameConflict", "volume", "", ""},
	{"delete volume", 404, "NotFound", "NotFound", "volume", "", ""},
	{"delete volume", 409, "Conflict", "Conflict InUse", "volume", "", ""},

	{"create template", 409, "Conflict", "Conflict Exists", "template", "", ""},
	{"get template", 404, "NotFound", "NotFound", "template", "", ""},
	{"update template", 404, "NotFound", "NotFound", "template", "", ""},
	{"update template", 409, "Conflict", "Conflict NameConflict", "template", "", ""},
	{"delete template", 404, "NotFound", "NotFound", "template", "", ""},
	{"delete template", 409, "Conflict", "Conflict InUse", "template", "", ""},

	{"create pool", 400, "TemplateNotFound", "NotFound", "template", "", ""},
	{"create pool", 400, "ValidationError", "Invalid", "", "", ""},
	{"create pool", 400, "Other", "", "", "", ""},
	{"create pool", 409, "Conflict", "Conflict Exists", "pool", "", ""},
	{"create pool", 504, "Timeout", "Timeout", "pool", "", ""},
	{"get pool", 404, "NotFound", "NotFound", "pool", "", ""},
	{"update pool", 400, "TemplateNotFound", "NotFound", "template", "", ""},
	{"update pool", 404, "NotFound", "NotFound", "pool", "", ""},
	{"update pool", 409, "Conflict", "Conflict NameConflict", "pool", "", ""},
	{"update pool", 504, "Timeout", "Timeout", "pool", "", ""},
	{"delete pool", 404, "NotFound", "NotFound", "pool", "", ""},

	{"create registry", 409, "Conflict", "Conflict Exists", "registry", "", ""},
	{"get registry", 404, "NotFound", "NotFound", "registry", "", ""},
	{"update registry", 404, "NotFound", "NotFound", "registry", "", ""},
	{"update registry", 409, "Conflict", "Conflict NameConflict", "registry", "", ""},
	{"delete registry", 404, "NotFound", "NotFound", "registry", "", ""},
	{"delete registry", 409, "Conflict", "Conflict InUse", "registry", "", ""},

	{"create sandbox", 400, "NotFound", "", "", "", ""},
	{"create sandbox", 404, "NotFound", "NotFound", "", "", ""},
	{"create sandbox", 408, "Timeout", "Timeout", "sandbox", "", ""},
	{"create sandbox", 409, "Conflict", "Conflict Exists", "sandbox", "", ""},
	{"create sandbox", 422, "ImagePull", "Provision", "sandbox", "", ""},
	{"create sandbox", 422, "CrashLoop", "Provision", "sandbox", "", ""},
	{"create sandbox", 503, "", "Provision Unavailable", "sandbox", "Unschedulable", ""},
	{"create sandbox", 503, "NoNodes", "Provision Unavailable", "sandbox", "", ""},
	{"create sandbox", 504, "Timeout", "Timeout", "sandbox", "", ""},
	{"get sandbox", 404, "not_found", "NotFound", "sandbox", "", ""},
	{"get status of sandbox", 404, "not_found", "NotFound", "sandbox", "", ""},
	{"update sandbox", 400, "InvalidRequest", "", "", "", ""},
	{"update sandbox", 404, "not_found", "NotFound", "sandbox", "", ""},
	{"update sandbox", 409, "Conflict", "Conflict NameConflict", "sandbox", "", ""},
	{"delete sandbox", 404, "not_found", "NotFound", "sandbox", "", ""},
	{"start sandbox", 400, "WrongState", "", "", "", ""},
	{"start sandbox", 404, "not_found", "NotFound", "sandbox", "", ""},
	{"stop sandbox", 404, "not_found", "NotFound", "sandbox", "", ""},

	{"list volumes", 404, "", "Server", "", "", ""},
	{"list templates", 404, "", "Server", "", "", ""},
	{"list pools", 404, "", "Server", "", "", ""},
	{"list registries", 404, "", "Server", "", "", ""},
	{"list sandboxes", 404, "", "Server", "", "", ""},
	{"get usage", 404, "", "NotFound", "", "", ""},
	{"list usage costs", 404, "", "Server", "", "", ""},
}

var dataplaneRows = []answerRow{
	{"execute in sandbox", 400, "NotReady", "NotReady", "", "", ""},
	{"execute in sandbox", 400, "Other", "", "", "", ""},
	{"execute in sandbox", 401, "", "Unauthorized", "", "", ""},
	{"execute in sandbox", 403, "Forbidden", "Forbidden Operation fs.Permission", "", "PermissionDenied", ""},
	{"execute in sandbox", 404, "", "NotFound fs.NotExist", "file", "", ""},
	{"execute in sandbox", 408, "CommandTimeout", "CommandTimeout Operation Timeout", "", "", "command"},
	{"execute in sandbox", 409, "", "Conflict", "", "", ""},
	{"execute in sandbox", 422, "", "Invalid", "", "", ""},
	{"execute in sandbox", 429, "", "Quota", "", "", ""},
	{"execute in sandbox", 500, "", "Server", "", "", ""},
	{"execute in sandbox", 500, "CommandError", "Operation", "", "", "command"},
	{"execute in sandbox", 502, "", "Unavailable", "", "", ""},
	{"execute in sandbox", 502, "ConnectionError", "Connection Unavailable", "", "", ""},
	{"execute in sandbox", 503, "", "Unavailable", "", "", ""},
	{"execute in sandbox", 503, "ServiceUnavailable", "NotReady Unavailable", "", "", ""},
	{"execute in sandbox", 504, "", "Unavailable", "", "", ""},
	{"write file", 500, "WriteError", "Operation", "", "", "write"},
	{"write file", 403, "WriteError", "Operation", "", "", "write"},
	{"write file", 403, "", "Forbidden Operation fs.Permission", "", "PermissionDenied", ""},
	{"write file", 404, "FileNotFound", "NotFound fs.NotExist", "file", "", ""},
	{"read file", 400, "FileNotFound", "NotFound fs.NotExist", "file", "", ""},
	{"read file", 404, "ReadError", "NotFound fs.NotExist", "file", "", ""},
	{"read file", 500, "ReadError", "Operation", "", "", "read"},
	{"read file", 403, "", "Forbidden Operation fs.Permission", "", "PermissionDenied", ""},
}

// sharedRows hold for every operation of the control plane that controlRows
// say nothing else of.
var sharedRows = []answerRow{
	{"", 401, "", "Unauthorized", "", "", ""},
	{"", 403, "Forbidden", "Forbidden fs.Permission", "", "", ""},
	{"", 409, "Other", "Conflict", "", "", ""},
	{"", 418, "Teapot", "", "", "", ""},
	{"", 422, "Other", "Invalid", "", "", ""},
	{"", 429, "Other", "Quota", "", "", ""},
	{"", 500, "Other", "Server", "", "", ""},
	{"", 501, "Other", "Unsupported", "", "", ""},
	{"", 502, "", "Unavailable", "", "", ""},
	{"", 502, "ConnectionError", "Connection Unavailable", "", "", ""},
	{"", 503, "Other", "Unavailable", "", "", ""},
	{"", 504, "Other", "Unavailable", "", "", ""},
}

// TestErrorTable: what each answer becomes, and all that it does not.
func TestErrorTable(t *testing.T) {
	t.Parallel()
	rows := slices.Concat(controlRows, dataplaneRows)
	for _, call := range slices.Concat(storageCalls, sandboxCalls) {
		for _, row := range sharedRows {
			own := func(r answerRow) bool { return r.op == call.op && r.status == row.status }
			if !slices.ContainsFunc(controlRows, own) {
				row.op = call.op
				rows = append(rows, row)
			}
		}
	}
	for _, row := range rows {
		t.Run(fmt.Sprint(row.op, row.status, row.code), func(t *testing.T) {
			t.Parallel()
			call := callTo(t, row.op)
			body := fmt.Sprintf(`{"detail":{"error":%q,"message":"m","error_id":"e1"}}`, row.code)
			err := call.do(t.Context(), client(t, &fake{answer: always(row.status, body)}))
			api, ok := errors.AsType[*sandboxclient.APIError](err)
			if !ok {
				t.Fatalf("error %#v, want an APIError", err)
			}
			want := &sandboxclient.APIError{
				Op: call.op, Name: call.name, StatusCode: row.status, Code: row.code, Message: "m", RequestID: "e1",
				ResourceType: row.resource, ErrorType: row.typ, Operation: row.part,
			}
			if want.ErrorType == "" {
				want.ErrorType = row.code
			}
			if diff := cmp.Diff(want, api, cmpopts.IgnoreUnexported(sandboxclient.APIError{})); diff != "" {
				t.Errorf("fields (-want +got):\n%s", diff)
			}
			if got := matched(api); got != row.kinds {
				t.Errorf("%v matches %q, want %q", err, got, row.kinds)
			}
			if got, want := api.Error(), textOf(want); got != want {
				t.Errorf("text %q, want %q", got, want)
			}
			if file := strings.HasSuffix(row.op, "file"); file != isPathError(err) {
				t.Errorf("error %T: a PathError is wanted for files alone", err)
			}
		})
	}
}

func isPathError(err error) bool {
	_, ok := errors.AsType[*fs.PathError](err)
	return ok
}

// textOf is the text of an error with all that a person needs to know.
func textOf(e *sandboxclient.APIError) string {
	text := e.Op
	if e.Name != "" {
		text += fmt.Sprintf(" %q", e.Name)
	}
	text += fmt.Sprintf(": %d m", e.StatusCode)
	if e.ErrorType != "" {
		text += " [" + e.ErrorType + "]"
	}
	return text + " (error_id e1)"
}
