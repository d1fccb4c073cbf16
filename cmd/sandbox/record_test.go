package main

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

func appWith(env map[string]string) *app {
	return &app{getenv: func(key string) string { return env[key] }}
}

func TestRecordsPlace(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("paths have another form there")
	}
	for name, tt := range map[string]struct {
		env  map[string]string
		want string // empty is an error
	}{
		"state":          {map[string]string{"XDG_STATE_HOME": "/state", "HOME": "/home/me"}, "/state/sandbox/commands"},
		"home":           {map[string]string{"HOME": "/home/me"}, "/home/me/.local/state/sandbox/commands"},
		"relative state": {map[string]string{"XDG_STATE_HOME": "state", "HOME": "/home/me"}, "/home/me/.local/state/sandbox/commands"},
		"none":           {nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := appWith(tt.env).records()
			if s.dir != tt.want || (err == nil) != (tt.want != "") {
				t.Errorf("%q, %v, want %q", s.dir, err, tt.want)
			}
		})
	}
}

// TestRecords: what is kept comes back, for its endpoint only, oldest first;
// what is no record, or too old, does no harm.
func TestRecords(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := records{filepath.Join(dir, "a", "b")}
	if list, err := s.of("http://here"); len(list) != 0 || err != nil {
		t.Fatalf("%v, %v of no directory", list, err)
	}
	now := time.Now().UTC().Truncate(time.Second)
	late := &record{Endpoint: "http://here", Sandbox: "box", ID: "b", Command: []string{"true"}, StartedAt: now}
	early := &record{Endpoint: "http://here", Sandbox: "../box", SandboxID: "1", ID: "../../a", Command: []string{"a", "b c"}, StartedAt: now.Add(-time.Hour)}
	for _, r := range []*record{
		late, early, early,
		{Endpoint: "http://there", Sandbox: "box", ID: "b", StartedAt: now},
		{Endpoint: "http://here", Sandbox: "box", ID: "old", StartedAt: now.Add(-2 * outdated)},
	} {
		if err := s.add(r); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{"x.json": "{", "y.json": "{}", ".new-1": "{", "z.json": strings.Repeat("[", maxRecord)} {
		if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	list, err := s.of("http://here")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]*record{early, late}, list); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	s.forget(early)
	s.forget(early)
	if list, _ = s.of("http://here"); len(list) != 1 {
		t.Errorf("%d are left, want 1", len(list))
	}
	left, err := filepath.Glob(filepath.Join(s.dir, "*"))
	if err != nil || len(left) != 6 { // late, there, and what is no record
		t.Errorf("left %v, %v", left, err)
	}
}

// TestRecordOfAnother: a sandbox that has the name of one before it is another
// one.
func TestRecordOfAnother(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		record record
		info   sandboxclient.Info
		want   bool
	}{
		{record{Sandbox: "box"}, sandboxclient.Info{Name: "box"}, true},
		{record{Sandbox: "box", SandboxID: "1"}, sandboxclient.Info{Name: "box"}, true},
		{record{Sandbox: "box", SandboxID: "1"}, sandboxclient.Info{Name: "box", ID: "1"}, true},
		{record{Sandbox: "box", SandboxID: "1"}, sandboxclient.Info{Name: "box", ID: "2"}, false},
		{record{Sandbox: "box"}, sandboxclient.Info{Name: "case"}, false},
	} {
		if got := tt.record.is(tt.info); got != tt.want {
			t.Errorf("%+v is of %s %q: %t", tt.record, tt.info.Name, tt.info.ID, got)
		}
	}
}

func FuzzRecord(f *testing.F) {
	f.Add([]byte(`{"endpoint":"e","sandbox":"s","id":"i","command":["a","b c","\u001b[2J\n"],"started_at":"2026-01-02T03:04:05Z"}`))
	f.Add([]byte(`{"endpoint":"e","sandbox":"s","id":"i","command":null}`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := parseRecord(data)
		if err != nil {
			return
		}
		if r.ID == "" || r.Sandbox == "" || r.Endpoint == "" {
			t.Errorf("%+v is of no command", r)
		}
		if line := clip(r.line(), 10); strings.ContainsAny(line, "\x1b\n\r\t\x00") || len([]rune(line)) > 10 {
			t.Errorf("the line is %q", line)
		}
		if filepath.Dir((records{"/d"}).file(r)) != filepath.FromSlash("/d") {
			t.Errorf("its file is %q", (records{"/d"}).file(r))
		}
	})
}
