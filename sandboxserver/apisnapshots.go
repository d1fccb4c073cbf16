package sandboxserver

import (
	"context"

	"github.com/langsandbox/sandbox-go/internal/genserver"
)

func (a api) ListSnapshots(_ context.Context, r genserver.ListSnapshotsRequestObject) (genserver.ListSnapshotsResponseObject, error) {
	out, err := a.listSnapshots(r.Params)
	return genserver.ListSnapshots200JSONResponse(out), err
}

func (a api) CreateSnapshot(_ context.Context, r genserver.CreateSnapshotRequestObject) (genserver.CreateSnapshotResponseObject, error) {
	out, err := a.createSnapshot(*r.Body) //nolint:contextcheck // a pull outlives the request
	return genserver.CreateSnapshot201JSONResponse(out), err
}

func (a api) GetSnapshot(_ context.Context, r genserver.GetSnapshotRequestObject) (genserver.GetSnapshotResponseObject, error) {
	out, err := a.getSnapshot(r.Snapshot)
	return genserver.GetSnapshot200JSONResponse(out), err
}

func (a api) DeleteSnapshot(_ context.Context, r genserver.DeleteSnapshotRequestObject) (genserver.DeleteSnapshotResponseObject, error) {
	return genserver.DeleteSnapshot204Response{}, a.deleteSnapshot(r.Snapshot)
}

func (a api) GetSnapshotTags(_ context.Context, r genserver.GetSnapshotTagsRequestObject) (genserver.GetSnapshotTagsResponseObject, error) {
	out, err := a.snapshotTags(r.Name)
	return genserver.GetSnapshotTags200JSONResponse(out), err
}

func (a api) CaptureSandbox(_ context.Context, r genserver.CaptureSandboxRequestObject) (genserver.CaptureSandboxResponseObject, error) {
	out, err := a.captureBox(r.Name, *r.Body) //nolint:contextcheck // a capture outlives the request
	return genserver.CaptureSandbox201JSONResponse(out), err
}
