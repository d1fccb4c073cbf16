package contract_test

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

// inventory places every operation of the contract: the methods of the facade
// that reach it, or why none does.
var inventory = map[string]string{
	"createVolume": "Volumes.Create",
	"listVolumes":  "Volumes.List",
	"getVolume":    "Volumes.Get",
	"updateVolume": "Volumes.Update",
	"deleteVolume": "Volumes.Delete",

	"createTemplate":       "Templates.Create",
	"listTemplates":        "Templates.List",
	"getTemplate":          "Templates.Get",
	"updateTemplate":       "Templates.Update",
	"deleteTemplate":       "Templates.Delete",
	"batchDeleteTemplates": "Templates.DeleteBatch",

	"createPool": "Pools.Create",
	"listPools":  "Pools.List",
	"getPool":    "Pools.Get",
	"updatePool": "Pools.Update",
	"deletePool": "Pools.Delete",

	"createSandbox":        "Client.Create Client.Ephemeral Client.Use",
	"listSandboxes":        "Client.List",
	"getSandbox":           "Client.Get Sandbox.Refresh",
	"updateSandbox":        "Client.Update Sandbox.Update",
	"deleteSandbox":        "Client.Delete Sandbox.Delete Ephemeral.Close",
	"batchDeleteSandboxes": "Client.DeleteBatch",
	"getSandboxStatus":     "Client.Status Sandbox.Status Sandbox.WaitReady",
	"startSandbox":         "Client.Start Sandbox.Start",
	"stopSandbox":          "Client.Stop Sandbox.Stop",

	"getUsage": "UsageService.Get",

	"execute":  "Sandbox.Execute",
	"upload":   "Sandbox.Upload Sandbox.WriteFile",
	"download": "Sandbox.Download Sandbox.ReadFile",

	"reportActivity":       "raw only: services report activity to the API, users do not",
	"startSandboxInternal": "raw only: services wake sandboxes by route name, users start them by name",
}

var facade = map[string]reflect.Type{
	"Client":       reflect.TypeFor[*sandboxclient.Client](),
	"Sandbox":      reflect.TypeFor[*sandboxclient.Sandbox](),
	"Ephemeral":    reflect.TypeFor[*sandboxclient.Ephemeral](),
	"Volumes":      reflect.TypeFor[*sandboxclient.Volumes](),
	"Templates":    reflect.TypeFor[*sandboxclient.Templates](),
	"Pools":        reflect.TypeFor[*sandboxclient.Pools](),
	"UsageService": reflect.TypeFor[*sandboxclient.UsageService](),
}

// TestInventory: an operation that is new in the contract fails until it is
// placed; one that is gone fails until its row is.
func TestInventory(t *testing.T) {
	t.Parallel()
	ops := operations(specOf(t))
	for id := range ops {
		if _, placed := inventory[id]; !placed {
			t.Errorf("%s has no row in the inventory: name the facade's method, or say why it has none", id)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(inventory)) {
		if _, exists := ops[id]; !exists {
			t.Errorf("%s has a row in the inventory, but is no operation", id)
		}
		if strings.HasPrefix(inventory[id], "raw only: ") {
			continue
		}
		for method := range strings.FieldsSeq(inventory[id]) {
			receiver, name, _ := strings.Cut(method, ".")
			typ, known := facade[receiver]
			if !known {
				t.Errorf("%s: there is no %s", id, receiver)
			} else if _, has := typ.MethodByName(name); !has {
				t.Errorf("%s: there is no %s", id, method)
			}
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
