package contract_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/go-cmp/cmp"
)

// notSent are members of requests that no row sends, and why.
var notSent = map[string]string{
	"createSandbox mount_config.auth.aws.session_tags": "they are for proxy rules",
}

// excused reports whether no row has to send a member.
func excused(op, member string) bool {
	_, ok := notSent[op+" "+member]
	return ok || strings.HasSuffix(member, ".is_set") // the server says it, in answers
}

// TestRequestsAreComplete: the rows of an operation send all query parameters
// and members that the contract names for it, so that a new one fails until it
// is driven.
func TestRequestsAreComplete(t *testing.T) {
	t.Parallel()
	ops := operations(specOf(t))
	sent := map[string]map[string]bool{}
	for _, row := range contractRows {
		if sent[row.op] == nil {
			sent[row.op] = map[string]bool{}
		}
		p, _, err := play(t, row, samples[row.op][0])
		if err != nil {
			t.Fatalf("%s: %v", row.op, err)
		}
		for _, r := range p.requests {
			if r.op != row.op {
				continue
			}
			for key := range r.query {
				sent[row.op]["?"+key] = true
			}
			var body any
			if json.Unmarshal([]byte(r.body), &body) == nil {
				members(body, "", sent[row.op])
			}
		}
	}
	for op, has := range sent {
		for _, member := range slices.Sorted(maps.Keys(named(ops[op].Operation))) {
			if has[member] == excused(op, member) {
				t.Errorf("%s %s: sent: %t, excused: %t", op, member, has[member], excused(op, member))
			}
		}
	}
}

// named are the query parameters and members of a request in the contract.
func named(op *openapi3.Operation) map[string]bool {
	names := map[string]bool{}
	for _, p := range op.Parameters {
		if p.Value.In == openapi3.ParameterInQuery {
			names["?"+p.Value.Name] = true
		}
	}
	if op.RequestBody != nil {
		if media := op.RequestBody.Value.Content.Get("application/json"); media != nil {
			properties(media.Schema, "", names)
		}
	}
	return names
}

// TestAnswersAreComplete: the full sample of an operation has all members that
// the contract names, so that TestClientContract sees them through the facade.
func TestAnswersAreComplete(t *testing.T) {
	t.Parallel()
	ops := operations(specOf(t))
	for op, answers := range samples {
		full := answers[len(answers)-1]
		response := ops[op].Operation.Responses.Value(strconv.Itoa(full.status))
		if response == nil {
			t.Errorf("%s: %d is no answer of its own in the contract", op, full.status)
			continue
		}
		media := response.Value.Content.Get("application/json")
		if media == nil {
			continue
		}
		want, has := map[string]bool{}, map[string]bool{}
		properties(media.Schema, "", want)
		members(exactly(t, full.body), "", has)
		if diff := cmp.Diff(want, has); diff != "" {
			t.Errorf("%s: members of the full answer (-contract +sample):\n%s", op, diff)
		}
	}
}

// properties collects the members of a schema; those of objects have dots
// before them, those of lists brackets.
func properties(ref *openapi3.SchemaRef, at string, all map[string]bool) {
	schema := ref.Value
	if schema.Items != nil {
		properties(schema.Items, at+"[]", all)
	}
	for _, part := range schema.AllOf {
		properties(part, at, all)
	}
	for name, property := range schema.Properties {
		path := join(at, name)
		all[path] = true
		properties(property, path, all)
	}
}

// members collects the members of a value in the same way, but for those of
// maps, whose keys are the caller's.
func members(value any, at string, all map[string]bool) {
	switch value := value.(type) {
	case []any:
		for _, item := range value {
			members(item, at+"[]", all)
		}
	case map[string]any:
		for name, member := range value {
			if path := join(at, name); !slices.Contains(freeMaps, at[strings.LastIndex(at, ".")+1:]) {
				all[path] = true
				members(member, path, all)
			}
		}
	}
}

// freeMaps are the members whose keys no schema names.
var freeMaps = []string{"env", "env_vars", "inject_headers", "labels", "session_tags"}

func join(at, name string) string {
	if at == "" {
		return name
	}
	return at + "." + name
}

// TestPinnedBodies: what a create sends when the caller says nothing more than
// it must.
func TestPinnedBodies(t *testing.T) {
	t.Parallel()
	pins := map[string]any{
		"createVolume":         map[string]any{"size": "1Gi", "timeout": 60.0, "wait_for_ready": true},
		"createTemplate":       map[string]any{"image": "python:3.12-slim", "resources": map[string]any{"cpu": "500m", "memory": "512Mi"}},
		"createPool":           map[string]any{"template_name": "the/template", "replicas": 1.0, "timeout": 30.0, "wait_for_ready": true},
		"createSandbox":        map[string]any{"timeout": 30.0, "wait_for_ready": true},
		"createSnapshot":       map[string]any{"docker_image": "img:1", "fs_capacity_bytes": 1073741824.0},
		"captureSandbox":       map[string]any{},
		"createRegistry":       map[string]any{"url": "ghcr.io"},
		"updateVolume":         map[string]any{},
		"updateRegistry":       map[string]any{},
		"updateTemplate":       map[string]any{},
		"updatePool":           map[string]any{"replicas": 0.0},
		"updateSandbox":        map[string]any{},
		"startSandbox":         map[string]any{},
		"stopSandbox":          map[string]any{},
		"execute":              map[string]any{"command": "true", "timeout": 60.0, "shell": "/bin/bash"},
		"glob":                 map[string]any{"pattern": "*", "path": "/"},
		"grep":                 map[string]any{"pattern": "TODO", "path": "/"},
		"batchDeleteTemplates": map[string]any{"names": []any{"the/template", "none"}},
		"batchDeleteSandboxes": map[string]any{"names": []any{"the%2Fbox?", "none"}},
	}
	for _, row := range contractRows {
		want, first := pins[row.op]
		if !first {
			continue
		}
		delete(pins, row.op) // the first row of an operation is the least
		p, _, err := play(t, row, samples[row.op][0])
		if err != nil {
			t.Fatalf("%s: %v", row.op, err)
		}
		var got map[string]any
		if err := json.Unmarshal([]byte(p.requests[0].body), &got); err != nil {
			t.Errorf("%s sends %s: %v", row.op, p.requests[0].body, err)
		}
		delete(got, "name") // a new one each time
		if diff := cmp.Diff(want, any(got)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", row.op, diff)
		}
	}
	if len(pins) != 0 {
		t.Errorf("pins of operations without rows: %v", pins)
	}
}
