package contract_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

// judge compares the result of a call with the recorded outcome.
func (v *vector) judge(got any, err error) []string {
	want := v.Outcome.Error
	switch {
	case want == nil && err != nil:
		return []string{fmt.Sprintf("error %v, want none", err)}
	case want == nil:
		return judgeOK(got, v.Outcome.OK)
	case err == nil:
		return []string{"no error, want " + want.Kind}
	}
	var problems []string
	kind := kindOf(err)
	if want.Kind != "Any" && kind != want.Kind && !slices.Contains(want.AlsoOK, kind) {
		problems = append(problems, fmt.Sprintf("error %v is of kind %s, want %s", err, kind, want.Kind))
	}
	if !strings.Contains(err.Error(), want.MessageContains) {
		problems = append(problems, fmt.Sprintf("error %q does not contain %q", err, want.MessageContains))
	}
	attrs := attributes(err)
	for name, value := range want.Attrs {
		if kind == want.Kind && !same(attrs[name], value) {
			problems = append(problems, fmt.Sprintf("%s is %v, want %v", name, attrs[name], value))
		}
	}
	return problems
}

func judgeOK(got any, want map[string]any) []string {
	raw, err := json.Marshal(got)
	must(err)
	var members map[string]any
	must(json.Unmarshal(raw, &members))
	if whole, ok := want["json"]; ok {
		if diff := cmp.Diff(whole, any(members)); diff != "" {
			return []string{"value (-want +got): " + diff}
		}
		return nil
	}
	var problems []string
	for name, value := range want {
		if !includes(members[name], value) {
			problems = append(problems, fmt.Sprintf("%s is %v, want %v", name, members[name], value))
		}
	}
	return problems
}

// includes reports whether got has all that want has; unset and empty are the
// same.
func includes(got, want any) bool {
	switch want := want.(type) {
	case map[string]any:
		g, _ := got.(map[string]any)
		for name, value := range want {
			if !includes(g[name], value) {
				return false
			}
		}
		return true
	case []any:
		g, _ := got.([]any)
		if len(g) != len(want) {
			return false
		}
		for i := range want {
			if !includes(g[i], want[i]) {
				return false
			}
		}
		return true
	default:
		return same(got, want)
	}
}

func same(got, want any) bool {
	return empty(got) && empty(want) || fmt.Sprint(got) == fmt.Sprint(want)
}

func empty(v any) bool {
	if v == nil {
		return true
	}
	value := reflect.ValueOf(v)
	return value.IsZero() || value.Kind() == reflect.Slice && value.Len() == 0
}

// errorKinds names the kinds of the vectors, in the order in which they apply.
var errorKinds = []struct {
	kind    string
	err     error
	control bool // the vectors have this kind on the control plane only
}{
	{"Caller", errCaller, false},
	{"DataplaneNotConfigured", sandboxclient.ErrNoDataplane, false},
	{"Operation", sandboxclient.ErrOperation, false},
	{"Authentication", sandboxclient.ErrUnauthorized, true},
	{"Authentication", sandboxclient.ErrForbidden, false},
	{"NotReady", sandboxclient.ErrNotReady, false},
	{"NotFound", sandboxclient.ErrNotFound, false},
	{"InUse", sandboxclient.ErrInUse, false},
	{"AlreadyExists", sandboxclient.ErrExists, false},
	{"NameConflict", sandboxclient.ErrNameConflict, false},
	{"QuotaExceeded", sandboxclient.ErrQuota, false},
	{"Creation", sandboxclient.ErrProvision, false},
	{"Connection", sandboxclient.ErrConnection, false},
	{"Timeout", sandboxclient.ErrTimeout, false},
	{"Validation", sandboxclient.ErrInvalid, false},
	{"API", sandboxclient.ErrServer, true},
}

func kindOf(err error) string {
	if _, ok := errors.AsType[*sandboxclient.ArgumentError](err); ok || errors.Is(err, errUnwritable) {
		return "InvalidArgument"
	}
	for _, k := range errorKinds {
		if errors.Is(err, k.err) && (!k.control || !onDataplane(err)) {
			return k.kind
		}
	}
	return "Client"
}

func onDataplane(err error) bool {
	var api *sandboxclient.APIError
	return errors.As(err, &api) && (strings.HasPrefix(api.Op, "execute") || strings.HasSuffix(api.Op, "file"))
}

func attributes(err error) map[string]any {
	if wait, ok := errors.AsType[*sandboxclient.WaitError](err); ok {
		return map[string]any{"resource_type": wait.ResourceType, "last_status": string(wait.LastStatus)}
	}
	var api *sandboxclient.APIError
	if !errors.As(err, &api) {
		return nil
	}
	field := ""
	if len(api.Fields) > 0 {
		field = api.Fields[0].Field()
	}
	return map[string]any{
		"resource_type": api.ResourceType,
		"error_type":    api.ErrorType,
		"operation":     api.Operation,
		"quota_type":    api.QuotaType,
		"field":         field,
		"details_count": len(api.Fields),
	}
}
