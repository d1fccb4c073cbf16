package contract_test

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestSchemasAreUsed: every schema of the contract is part of an operation, or
// of what goes over the command stream and tunnels, which have none.
func TestSchemasAreUsed(t *testing.T) {
	t.Parallel()
	doc := specOf(t)
	reference := regexp.MustCompile(`"\$ref":"#/components/schemas/(\w+)"`)
	used := map[string]bool{}
	var use func(v any)
	use = func(v any) {
		raw, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range reference.FindAllSubmatch(raw, -1) {
			if name := string(m[1]); !used[name] {
				used[name] = true
				use(doc.Components.Schemas[name].Value)
			}
		}
	}
	use(doc.Paths)
	use(doc.Components.Parameters)
	use(doc.Components.Responses)
	use(doc.Components.RequestBodies)
	frames := 0
	for _, name := range slices.Sorted(maps.Keys(doc.Components.Schemas)) {
		if (strings.HasSuffix(name, "Frame") || name == "TunnelStatus") && !used[name] {
			frames++
			used[name] = true
			use(doc.Components.Schemas[name].Value)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(doc.Components.Schemas)) {
		if !used[name] {
			t.Errorf("nothing uses the schema %s", name)
		}
	}
	if frames == 0 || len(used) == frames {
		t.Errorf("%d of %d schemas are frames", frames, len(used))
	}
}
