package sandboxclient_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

// snapshots answers with one state after the other, the last one for ever; an
// empty one is a snapshot that is gone.
func snapshots(states ...string) *fake {
	return &fake{answer: func(n int, _ *http.Request) (*http.Response, error) {
		state := states[min(n, len(states)-1)]
		if state == "" {
			return reply(404, `{"detail":{"error":"not_found","message":"no such snapshot"}}`), nil
		}
		return reply(201, fmt.Sprintf(`{"id":"s/1","name":"env","status":%q,"status_message":"because"}`, state)), nil
	}}
}

var image = sandboxclient.CreateSnapshot{Name: "team/env", DockerImage: "img:1", FSCapacityBytes: 1 << 30}

// TestSnapshotWait: a snapshot is asked for every two seconds until something
// ends the wait; one request made it.
func TestSnapshotWait(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		states   []string
		opts     *sandboxclient.WaitOptions
		deadline time.Duration
		want     error
		status   string
		asks     int // the create included
		took     time.Duration
	}{
		"ready":        {states: []string{"building", "building", "ready"}, asks: 3, took: 2 * time.Second},
		"ready before": {states: []string{"ready"}, asks: 2},
		"not waited":   {states: []string{"building"}, opts: &sandboxclient.WaitOptions{NoWait: true}, asks: 1},
		"unknown":      {states: []string{"building", "queued", "ready"}, asks: 3, took: 2 * time.Second},
		"interval":     {states: []string{"building", "building", "ready"}, opts: &sandboxclient.WaitOptions{Interval: time.Minute}, asks: 3, took: time.Minute},
		"failed":       {states: []string{"building", "building", "failed"}, want: sandboxclient.ErrProvision, status: "failed", asks: 3, took: 2 * time.Second},
		"deleted":      {states: []string{"building", "deleting", ""}, want: sandboxclient.ErrNotFound, asks: 3, took: 2 * time.Second},
		"timeout":      {states: []string{"building"}, opts: &sandboxclient.WaitOptions{Timeout: 3 * time.Second}, want: sandboxclient.ErrTimeout, status: "building", asks: 4, took: 3 * time.Second},
		"asked once":   {states: []string{"building"}, opts: &sandboxclient.WaitOptions{Timeout: -1}, want: sandboxclient.ErrTimeout, status: "building", asks: 2},
		"context ends": {states: []string{"building"}, deadline: 3 * time.Second, want: context.DeadlineExceeded, status: "building", asks: 3, took: 3 * time.Second},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := snapshots(tt.states...)
				ctx, cancel := context.WithCancel(t.Context())
				if tt.deadline != 0 {
					ctx, cancel = context.WithTimeout(t.Context(), tt.deadline)
				}
				defer cancel()
				start := time.Now()
				got, err := client(t, f).Snapshots.Create(ctx, &image, tt.opts)
				if !errors.Is(err, tt.want) || (got == nil) == (tt.want == nil) {
					t.Errorf("snapshot %v, error %v, want %v", got, err, tt.want)
				}
				if wait, ok := errors.AsType[*sandboxclient.WaitError](err); ok != (tt.status != "") ||
					ok && (wait.Name != "s/1" || wait.ResourceType != "snapshot" || string(wait.LastStatus) != tt.status || !strings.Contains(err.Error(), "because")) {
					t.Errorf("error %#v", err)
				}
				if took := time.Since(start); len(f.requests()) != tt.asks || took != tt.took {
					t.Errorf("%d requests in %v, want %d in %v", len(f.requests()), took, tt.asks, tt.took)
				}
				for _, r := range f.requests()[1:] {
					if r.method != http.MethodGet || r.path != "/v2/sandboxes/snapshots/s%2F1" {
						t.Errorf("%s %s", r.method, r.path)
					}
				}
			})
		})
	}
}

// TestSnapshotArguments: what cannot be a snapshot is refused before anything
// is sent.
func TestSnapshotArguments(t *testing.T) {
	t.Parallel()
	f := &fake{answer: always(500, "")}
	c := client(t, f)
	with := func(change func(*sandboxclient.CreateSnapshot)) error {
		req := image
		change(&req)
		_, err := c.Snapshots.Create(t.Context(), &req, nil)
		return err
	}
	capture := func(req *sandboxclient.CaptureSnapshot) error {
		_, err := box(c).Capture(t.Context(), req, nil)
		return err
	}
	_, none := c.Snapshots.Create(t.Context(), nil, nil)
	_, tagged := c.Snapshots.ByName(t.Context(), "env:v1")
	_, unnamed := c.Snapshots.Get(t.Context(), " ")
	_, above := c.Snapshots.Wait(t.Context(), "..", nil)
	for name, err := range map[string]error{
		"no request":        none,
		"name with a tag":   tagged,
		"no id":             unnamed,
		"parent":            above,
		"delete parent":     c.Snapshots.Delete(t.Context(), ".."),
		"no name":           with(func(r *sandboxclient.CreateSnapshot) { r.Name = "" }),
		"colon":             with(func(r *sandboxclient.CreateSnapshot) { r.Name = "env:v1" }),
		"control":           with(func(r *sandboxclient.CreateSnapshot) { r.Name = "a\nb" }),
		"long name":         with(func(r *sandboxclient.CreateSnapshot) { r.Name = strings.Repeat("a", 256) }),
		"the server's name": with(func(r *sandboxclient.CreateSnapshot) { r.Name = "system/default" }),
		"no image":          with(func(r *sandboxclient.CreateSnapshot) { r.DockerImage = "" }),
		"no disk":           with(func(r *sandboxclient.CreateSnapshot) { r.FSCapacityBytes = 0 }),
		"negative disk":     with(func(r *sandboxclient.CreateSnapshot) { r.FSCapacityBytes = -1 }),
		"tag with a colon":  with(func(r *sandboxclient.CreateSnapshot) { r.Tag = "a:b" }),
		"long tag":          with(func(r *sandboxclient.CreateSnapshot) { r.Tag = strings.Repeat("a", 129) }),
		"long description":  with(func(r *sandboxclient.CreateSnapshot) { r.Description = strings.Repeat("ü", 1025) }),
		"directory":         with(func(r *sandboxclient.CreateSnapshot) { r.RunConfig.WorkDir = "w" }),
		"no capture":        capture(nil),
		"unnamed capture":   capture(&sandboxclient.CaptureSnapshot{}),
		"disk":              capture(&sandboxclient.CaptureSnapshot{Name: "a", FSCapacityBytes: -1}),
		"port":              capture(&sandboxclient.CaptureSnapshot{Name: "a", ImageConfig: sandboxclient.ImageConfig{ExposedPorts: []int{65536}}}),
		"setting":           capture(&sandboxclient.CaptureSnapshot{Name: "a", Include: []sandboxclient.SnapshotSetting{""}}),
		"memory":            capture(&sandboxclient.CaptureSnapshot{Name: "a", IncludeMemory: true, Checkpoint: "c"}),
	} {
		if !errors.Is(err, sandboxclient.ErrInvalid) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	for name, req := range map[string]sandboxclient.CreateSandbox{
		"template and snapshot": {TemplateName: "t", SnapshotID: "s"},
		"id and name":           {SnapshotID: "s", SnapshotName: "n"},
		"name and older name":   {Snapshot: "n:v1", SnapshotName: "n:v1"},
	} {
		if _, err := c.Create(t.Context(), &req); !errors.Is(err, sandboxclient.ErrInvalid) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	if n := len(f.requests()); n != 0 {
		t.Errorf("%d requests", n)
	}
	if err := with(func(r *sandboxclient.CreateSnapshot) { r.Description = strings.Repeat("ü", 1024) }); errors.Is(err, sandboxclient.ErrInvalid) {
		t.Errorf("1024 characters: %v", err)
	}
}

// TestSnapshotErrors: what an answer means depends on the operation.
func TestSnapshotErrors(t *testing.T) {
	t.Parallel()
	for code, want := range map[int]struct{ create, remove, capture error }{
		404: {sandboxclient.ErrNotFound, sandboxclient.ErrNotFound, sandboxclient.ErrNotFound},
		409: {sandboxclient.ErrExists, sandboxclient.ErrInUse, sandboxclient.ErrConflict},
		429: {sandboxclient.ErrQuota, sandboxclient.ErrQuota, sandboxclient.ErrQuota},
		501: {sandboxclient.ErrUnsupported, sandboxclient.ErrUnsupported, sandboxclient.ErrUnsupported},
	} {
		c := client(t, &fake{answer: always(code, `{"detail":{"error":"Some","message":"text"}}`)})
		_, create := c.Snapshots.Create(t.Context(), &image, nil)
		remove := c.Snapshots.Delete(t.Context(), "s")
		_, capture := box(c).Capture(t.Context(), &sandboxclient.CaptureSnapshot{Name: "a"}, nil)
		if !errors.Is(create, want.create) || !errors.Is(remove, want.remove) || !errors.Is(capture, want.capture) {
			t.Errorf("%d: %v, %v, %v", code, create, remove, capture)
		}
		if api, ok := errors.AsType[*sandboxclient.APIError](remove); code == 404 && (!ok || api.ResourceType != "snapshot") {
			t.Errorf("%#v", remove)
		}
		if api, ok := errors.AsType[*sandboxclient.APIError](capture); code == 404 && (!ok || api.ResourceType != "sandbox") {
			t.Errorf("%#v", capture)
		}
	}
}

// TestSnapshotPages: pages go on from a cursor where the server has one, else
// from an offset, and items have either name.
func TestSnapshotPages(t *testing.T) {
	t.Parallel()
	for name, pages := range map[string]map[string]string{
		"cursor": {
			"limit=1":              `{"items":[{"id":"1","name":"a"}],"snapshots":[{"id":"1","name":"a"}],"offset":1,"next_cursor":"c"}`,
			"cursor=c&page_size=1": `{"items":[{"id":"2","name":"b"}],"snapshots":[],"next_cursor":null}`,
		},
		"offset": {
			"limit=1":          `{"snapshots":[{"id":"1","name":"a"}],"offset":1}`,
			"limit=1&offset=1": `{"snapshots":[{"id":"2","name":"b"}],"offset":0}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &fake{answer: func(_ int, req *http.Request) (*http.Response, error) {
				return reply(200, pages[req.URL.Query().Encode()]), nil
			}}
			var ids []string
			for s, err := range client(t, f).Snapshots.List(t.Context(), &sandboxclient.ListSnapshotsParams{Limit: new(1)}) {
				if err != nil {
					t.Fatal(err)
				}
				ids = append(ids, s.ID)
			}
			if strings.Join(ids, "") != "12" || len(f.requests()) != 2 {
				t.Errorf("snapshots %s in %d requests", ids, len(f.requests()))
			}
		})
	}
}

// TestImageConfig: an empty list clears, so it is sent; an absent one is not.
func TestImageConfig(t *testing.T) {
	t.Parallel()
	f := snapshots("ready")
	_, err := box(client(t, f)).Capture(t.Context(), &sandboxclient.CaptureSnapshot{
		Name: "a", ImageConfig: sandboxclient.ImageConfig{Cmd: []string{}},
	}, &sandboxclient.WaitOptions{NoWait: true})
	if body := f.requests()[0].body; err != nil || body != `{"image_config":{"cmd":[]},"name":"a"}` {
		t.Errorf("sent %s, error %v", body, err)
	}
}

// TestSnapshotWithoutID: there is nothing to wait for, and something was made.
func TestSnapshotWithoutID(t *testing.T) {
	t.Parallel()
	f := &fake{answer: always(201, `{"name":"env","status":"building"}`)}
	_, err := client(t, f).Snapshots.Create(t.Context(), &image, nil)
	if !errors.Is(err, sandboxclient.ErrProtocol) || !errors.Is(err, sandboxclient.ErrOutcomeUnknown) {
		t.Errorf("got %v", err)
	}
}
