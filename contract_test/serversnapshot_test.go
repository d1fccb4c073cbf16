package contract_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

func driveSnapshots(t *testing.T, ctx context.Context, s *localServer) { //nolint:revive // t first
	snapshot := ok[*sandboxclient.Snapshot](t)
	image := snapshot(s.c.Snapshots.Create(ctx, &sandboxclient.CreateSnapshot{
		Name: "team/py", DockerImage: "python:3.12", FSCapacityBytes: 1 << 30, Tag: "v1", Labels: map[string]string{"l": "v"},
	}, nil))
	if image.Status != sandboxclient.SnapshotReady || !slices.Equal(image.Tags, []string{"v1"}) {
		t.Errorf("snapshot of an image: %+v", image)
	}
	_, err := s.c.Snapshots.Create(ctx, &sandboxclient.CreateSnapshot{Name: "py", DockerImage: "i", FSCapacityBytes: 1, RegistryID: "none"}, nil)
	is(t, err, sandboxclient.ErrInvalid)

	sb := ok[*sandboxclient.Sandbox](t)(s.c.Create(ctx, &sandboxclient.CreateSandbox{Name: "source", EnvVars: map[string]string{"A": "b"}}))
	if err := sb.WriteFile(ctx, "note.txt", []byte("one")); err != nil {
		t.Fatal(err)
	}
	everything := []sandboxclient.SnapshotSetting{sandboxclient.SnapshotAllSettings}
	_, err = sb.Capture(ctx, &sandboxclient.CaptureSnapshot{Name: "warm", Include: everything}, nil)
	is(t, err, sandboxclient.ErrInvalid)
	_, err = sb.Capture(ctx, &sandboxclient.CaptureSnapshot{Name: "warm", IncludeMemory: true}, nil)
	is(t, err, sandboxclient.ErrUnsupported)
	_, err = s.c.FromInfo(sandboxclient.Info{Name: "none"}).Capture(ctx, &sandboxclient.CaptureSnapshot{Name: "warm"}, nil)
	is(t, err, sandboxclient.ErrNotFound)
	warm := snapshot(sb.Capture(ctx, &sandboxclient.CaptureSnapshot{Name: "warm", Include: everything, ConfirmAllowSnapshotSecretValues: true}, nil))
	if warm.Status != sandboxclient.SnapshotReady || warm.SourceSandboxID != sb.Info().ID || warm.FSUsedBytes <= 0 {
		t.Errorf("captured: %+v", warm)
	}
	if err := errors.Join(sb.WriteFile(ctx, "note.txt", []byte("two")), sb.Delete(ctx)); err != nil {
		t.Error(err)
	}

	next := ok[*sandboxclient.Sandbox](t)(s.c.Create(ctx, &sandboxclient.CreateSandbox{Name: "next", Snapshot: "warm"}))
	res := ok[*sandboxclient.Result](t)(next.Execute(ctx, `cat note.txt; echo "$A"`, nil))
	if res.Stdout != "oneb\n" || next.Info().SnapshotID != warm.ID {
		t.Errorf("in a sandbox of it: %+v, %+v", res, next.Info())
	}
	snapshot(s.c.Snapshots.Get(ctx, "warm:latest"))
	_, err = s.c.Snapshots.Get(ctx, "warm:none")
	is(t, err, sandboxclient.ErrNotFound)
	tags := ok[*sandboxclient.SnapshotTags](t)(s.c.Snapshots.ByName(ctx, "team/py"))
	if len(tags.Tags) != 1 || tags.Tags[0].SnapshotID != image.ID {
		t.Errorf("tags: %+v", tags)
	}
	_, err = s.c.Snapshots.ByName(ctx, "none")
	is(t, err, sandboxclient.ErrNotFound)
	if all := collect(t, s.c.Snapshots.List(ctx, &sandboxclient.ListSnapshotsParams{PageSize: new(1)})); len(all) != 3 {
		t.Errorf("%d snapshots, want those two and the server's", len(all))
	}
	for _, err := range s.c.Snapshots.List(ctx, &sandboxclient.ListSnapshotsParams{Cursor: new("strange")}) {
		is(t, err, sandboxclient.ErrInvalid)
	}
	is(t, s.c.Snapshots.Delete(ctx, "warm"), sandboxclient.ErrInUse)
	if err := errors.Join(next.Delete(ctx), s.c.Snapshots.Delete(ctx, "warm"), s.c.Snapshots.Delete(ctx, image.ID)); err != nil {
		t.Error(err)
	}
	is(t, s.c.Snapshots.Delete(ctx, "warm"), sandboxclient.ErrNotFound)
}
