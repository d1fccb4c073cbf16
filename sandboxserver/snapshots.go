package sandboxserver

import (
	"context"

	"github.com/langsandbox/sandbox-go/internal/genserver"
)

var errNoSnapshots = notSupported("snapshots: have sandboxes start from templates, or from nothing")

func (a api) ListSnapshots(context.Context, genserver.ListSnapshotsRequestObject) (genserver.ListSnapshotsResponseObject, error) {
	return nil, errNoSnapshots
}

func (a api) CreateSnapshot(context.Context, genserver.CreateSnapshotRequestObject) (genserver.CreateSnapshotResponseObject, error) {
	return nil, errNoSnapshots
}

func (a api) GetSnapshot(context.Context, genserver.GetSnapshotRequestObject) (genserver.GetSnapshotResponseObject, error) {
	return nil, errNoSnapshots
}

func (a api) DeleteSnapshot(context.Context, genserver.DeleteSnapshotRequestObject) (genserver.DeleteSnapshotResponseObject, error) {
	return nil, errNoSnapshots
}

func (a api) GetSnapshotTags(context.Context, genserver.GetSnapshotTagsRequestObject) (genserver.GetSnapshotTagsResponseObject, error) {
	return nil, errNoSnapshots
}

func (a api) CaptureSandbox(context.Context, genserver.CaptureSandboxRequestObject) (genserver.CaptureSandboxResponseObject, error) {
	return nil, errNoSnapshots
}
