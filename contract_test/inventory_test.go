package contract_test

import (
	"context"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

// facade are the types whose methods send requests.
var facade = []reflect.Type{
	reflect.TypeFor[*sandboxclient.Client](),
	reflect.TypeFor[*sandboxclient.Sandbox](),
	reflect.TypeFor[*sandboxclient.Service](),
	reflect.TypeFor[*sandboxclient.Volumes](),
	reflect.TypeFor[*sandboxclient.Templates](),
	reflect.TypeFor[*sandboxclient.Pools](),
	reflect.TypeFor[*sandboxclient.Snapshots](),
	reflect.TypeFor[*sandboxclient.Registries](),
	reflect.TypeFor[*sandboxclient.UsageService](),
}

// TestInventory: every operation of the contract is placed: a row drives it
// through the facade, or a reason stands against one. A new operation fails
// until it is placed, a row of one that is gone until it is taken out.
func TestInventory(t *testing.T) {
	t.Parallel()
	placed := map[string]bool{}
	for _, row := range contractRows {
		placed[row.op] = true
		if _, raw := rawOnly[row.op]; raw {
			t.Errorf("%s is raw only, and driven by %s", row.op, row.method)
		}
	}
	for op, reason := range rawOnly {
		placed[op] = true
		if reason == "" {
			t.Errorf("%s is raw only without a reason", op)
		}
	}
	ops := operations(specOf(t))
	for _, op := range slices.Sorted(maps.Keys(ops)) {
		if !placed[op] {
			t.Errorf("%s has no row: drive it through the facade, or say in rawOnly why nothing of the facade does", op)
		}
	}
	for _, op := range slices.Sorted(maps.Keys(placed)) {
		if _, exists := ops[op]; !exists {
			t.Errorf("%s is placed, but is no operation of the contract", op)
		}
	}
}

// TestFacadeIsDriven: every method of the facade that takes a context, and so
// sends something, has a row.
func TestFacadeIsDriven(t *testing.T) {
	t.Parallel()
	// The streams are no operations, and have tests of their own, as has what
	// goes over them.
	driven := map[string]bool{
		"Sandbox.Run": true, "Sandbox.Attach": true, "Snapshots.Build": true,
		"Sandbox.MkdirAll": true, "Sandbox.Rename": true, "Sandbox.Remove": true, "Sandbox.RemoveAll": true,
		"Sandbox.CopyFS": true, "Sandbox.CopyTo": true,
		"Sandbox.DialContext": true, "Sandbox.Tunnel": true,
	}
	for _, row := range contractRows {
		method, _, _ := strings.Cut(row.method, " ")
		driven[method] = true
	}
	var want []string
	for _, typ := range facade {
		for m := range typ.Methods() {
			if m.Type.NumIn() > 1 && m.Type.In(1) == reflect.TypeFor[context.Context]() {
				want = append(want, typ.Elem().Name()+"."+m.Name)
			}
		}
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, slices.Sorted(maps.Keys(driven))); diff != "" {
		t.Errorf("methods (-of the facade +with a row):\n%s", diff)
	}
}

// TestRowsAreTold apart by their names.
func TestRowsAreTold(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, row := range contractRows {
		if name := row.op + " " + row.method; seen[name] {
			t.Errorf("two rows drive %s", name)
		} else {
			seen[name] = true
		}
	}
}

// TestGenerations: every operation says in which generation of the API it
// holds.
func TestGenerations(t *testing.T) {
	t.Parallel()
	for id, route := range operations(specOf(t)) {
		generations, ok := route.Operation.Extensions["x-generations"].([]any)
		if !ok || len(generations) == 0 {
			t.Errorf("%s has no x-generations", id)
		}
	}
}
