package sandboxserver

import (
	"context"

	"github.com/langsandbox/sandbox-go/gen"
	"github.com/langsandbox/sandbox-go/internal/genserver"
)

// api fits the engine to the generated interface. Errors go through
// writeError, so only successes have types here.
type api struct {
	*engine
}

var _ genserver.StrictServerInterface = api{}

type baseKey struct{}

// addressed fills in what depends on how the client reached the server.
func addressed(ctx context.Context, s gen.Sandbox) gen.Sandbox {
	base, _ := ctx.Value(baseKey{}).(string)
	s.DataplaneURL = base + dataplanePrefix + s.ID
	return s
}

func (a api) ListVolumes(_ context.Context, r genserver.ListVolumesRequestObject) (genserver.ListVolumesResponseObject, error) {
	out, err := a.listVolumes(r.Params)
	return genserver.ListVolumes200JSONResponse(out), err
}

func (a api) CreateVolume(_ context.Context, r genserver.CreateVolumeRequestObject) (genserver.CreateVolumeResponseObject, error) {
	out, err := a.createVolume(*r.Body)
	return genserver.CreateVolume201JSONResponse(out), err
}

func (a api) GetVolume(_ context.Context, r genserver.GetVolumeRequestObject) (genserver.GetVolumeResponseObject, error) {
	out, err := a.getVolume(r.Name)
	return genserver.GetVolume200JSONResponse(out), err
}

func (a api) UpdateVolume(_ context.Context, r genserver.UpdateVolumeRequestObject) (genserver.UpdateVolumeResponseObject, error) {
	out, err := a.updateVolume(r.Name, *r.Body)
	return genserver.UpdateVolume200JSONResponse(out), err
}

func (a api) DeleteVolume(_ context.Context, r genserver.DeleteVolumeRequestObject) (genserver.DeleteVolumeResponseObject, error) {
	return genserver.DeleteVolume204Response{}, a.deleteVolume(r.Name)
}

func (a api) ListTemplates(_ context.Context, r genserver.ListTemplatesRequestObject) (genserver.ListTemplatesResponseObject, error) {
	out, err := a.listTemplates(r.Params)
	return genserver.ListTemplates200JSONResponse(out), err
}

func (a api) CreateTemplate(_ context.Context, r genserver.CreateTemplateRequestObject) (genserver.CreateTemplateResponseObject, error) {
	out, err := a.createTemplate(*r.Body)
	return genserver.CreateTemplate201JSONResponse(out), err
}

func (a api) GetTemplate(_ context.Context, r genserver.GetTemplateRequestObject) (genserver.GetTemplateResponseObject, error) {
	out, err := a.getTemplate(r.Name)
	return genserver.GetTemplate200JSONResponse(out), err
}

func (a api) UpdateTemplate(_ context.Context, r genserver.UpdateTemplateRequestObject) (genserver.UpdateTemplateResponseObject, error) {
	out, err := a.updateTemplate(r.Name, *r.Body)
	return genserver.UpdateTemplate200JSONResponse(out), err
}

func (a api) DeleteTemplate(_ context.Context, r genserver.DeleteTemplateRequestObject) (genserver.DeleteTemplateResponseObject, error) {
	return genserver.DeleteTemplate204Response{}, a.deleteTemplate(r.Name)
}

func (a api) BatchDeleteTemplates(_ context.Context, r genserver.BatchDeleteTemplatesRequestObject) (genserver.BatchDeleteTemplatesResponseObject, error) {
	out, err := a.deleteTemplates(r.Body.Names)
	return genserver.BatchDeleteTemplates200JSONResponse(out), err
}

func (a api) ListPools(_ context.Context, r genserver.ListPoolsRequestObject) (genserver.ListPoolsResponseObject, error) {
	out, err := a.listPools(r.Params)
	return genserver.ListPools200JSONResponse(out), err
}

func (a api) CreatePool(ctx context.Context, r genserver.CreatePoolRequestObject) (genserver.CreatePoolResponseObject, error) {
	out, err := a.createPool(ctx, *r.Body)
	return genserver.CreatePool201JSONResponse(out), err
}

func (a api) GetPool(_ context.Context, r genserver.GetPoolRequestObject) (genserver.GetPoolResponseObject, error) {
	out, err := a.getPool(r.Name)
	return genserver.GetPool200JSONResponse(out), err
}

func (a api) UpdatePool(_ context.Context, r genserver.UpdatePoolRequestObject) (genserver.UpdatePoolResponseObject, error) {
	out, err := a.updatePool(r.Name, *r.Body)
	return genserver.UpdatePool200JSONResponse(out), err
}

func (a api) DeletePool(ctx context.Context, r genserver.DeletePoolRequestObject) (genserver.DeletePoolResponseObject, error) {
	return genserver.DeletePool204Response{}, a.deletePool(ctx, r.Name)
}

func (a api) ListSandboxes(ctx context.Context, r genserver.ListSandboxesRequestObject) (genserver.ListSandboxesResponseObject, error) {
	out, err := a.listBoxes(r.Params)
	for i := range out.Sandboxes { // and Items, which are the same
		out.Sandboxes[i] = addressed(ctx, out.Sandboxes[i])
	}
	return genserver.ListSandboxes200JSONResponse(out), err
}

func (a api) CreateSandbox(ctx context.Context, r genserver.CreateSandboxRequestObject) (genserver.CreateSandboxResponseObject, error) {
	out, err := a.createBox(ctx, *r.Body)
	return genserver.CreateSandbox201JSONResponse(addressed(ctx, out)), err
}

func (a api) GetSandbox(ctx context.Context, r genserver.GetSandboxRequestObject) (genserver.GetSandboxResponseObject, error) {
	out, err := a.getBox(r.Name)
	return genserver.GetSandbox200JSONResponse(addressed(ctx, out)), err
}

func (a api) UpdateSandbox(ctx context.Context, r genserver.UpdateSandboxRequestObject) (genserver.UpdateSandboxResponseObject, error) {
	out, err := a.updateBox(ctx, r.Name, *r.Body)
	return genserver.UpdateSandbox200JSONResponse(addressed(ctx, out)), err
}

func (a api) DeleteSandbox(ctx context.Context, r genserver.DeleteSandboxRequestObject) (genserver.DeleteSandboxResponseObject, error) {
	return genserver.DeleteSandbox204Response{}, a.deleteBox(ctx, r.Name)
}

func (a api) BatchDeleteSandboxes(ctx context.Context, r genserver.BatchDeleteSandboxesRequestObject) (genserver.BatchDeleteSandboxesResponseObject, error) {
	out, err := a.deleteBoxes(ctx, r.Body.Names)
	return genserver.BatchDeleteSandboxes200JSONResponse(out), err
}

func (a api) GetSandboxStatus(_ context.Context, r genserver.GetSandboxStatusRequestObject) (genserver.GetSandboxStatusResponseObject, error) {
	out, err := a.boxStatus(r.Name)
	return genserver.GetSandboxStatus200JSONResponse(out), err
}

func (a api) StartSandbox(ctx context.Context, r genserver.StartSandboxRequestObject) (genserver.StartSandboxResponseObject, error) {
	out, err := a.startBox(r.Name) //nolint:contextcheck // the sandbox outlives the request
	return genserver.StartSandbox202JSONResponse(addressed(ctx, out)), err
}

func (a api) StopSandbox(ctx context.Context, r genserver.StopSandboxRequestObject) (genserver.StopSandboxResponseObject, error) {
	return genserver.StopSandbox204Response{}, a.stopBox(ctx, r.Name)
}

func (a api) CreateServiceURL(ctx context.Context, r genserver.CreateServiceURLRequestObject) (genserver.CreateServiceURLResponseObject, error) {
	out, err := a.createServiceURL(ctx, r.Name, *r.Body)
	return genserver.CreateServiceURL200JSONResponse(out), err
}

func (a api) ListServiceURLs(_ context.Context, r genserver.ListServiceURLsRequestObject) (genserver.ListServiceURLsResponseObject, error) {
	out, err := a.listServiceURLs(r.Name, r.Params)
	return genserver.ListServiceURLs200JSONResponse(out), err
}

func (a api) DeleteServiceURLs(_ context.Context, r genserver.DeleteServiceURLsRequestObject) (genserver.DeleteServiceURLsResponseObject, error) {
	return genserver.DeleteServiceURLs204Response{}, a.deleteServiceURLs(r.Name, r.Params.Port)
}

func (a api) CreateDownloadURL(ctx context.Context, r genserver.CreateDownloadURLRequestObject) (genserver.CreateDownloadURLResponseObject, error) {
	out, err := a.createDownloadURL(ctx, r.Name, *r.Body)
	return genserver.CreateDownloadURL200JSONResponse(out), err
}

// CheckSandboxAccess lets everybody in who has the key, as the one user here.
func (a api) CheckSandboxAccess(_ context.Context, r genserver.CheckSandboxAccessRequestObject) (genserver.CheckSandboxAccessResponseObject, error) {
	return genserver.CheckSandboxAccess200JSONResponse{UserID: localUser}, a.hasBox(r.Params.SandboxID)
}

func (a api) ListRegistries(_ context.Context, r genserver.ListRegistriesRequestObject) (genserver.ListRegistriesResponseObject, error) {
	out, err := a.listRegistries(r.Params)
	return genserver.ListRegistries200JSONResponse(out), err
}

func (a api) CreateRegistry(_ context.Context, r genserver.CreateRegistryRequestObject) (genserver.CreateRegistryResponseObject, error) {
	out, err := a.createRegistry(*r.Body)
	return genserver.CreateRegistry201JSONResponse(out), err
}

func (a api) GetRegistry(_ context.Context, r genserver.GetRegistryRequestObject) (genserver.GetRegistryResponseObject, error) {
	out, err := a.getRegistry(r.Name)
	return genserver.GetRegistry200JSONResponse(out), err
}

func (a api) UpdateRegistry(_ context.Context, r genserver.UpdateRegistryRequestObject) (genserver.UpdateRegistryResponseObject, error) {
	out, err := a.updateRegistry(r.Name, *r.Body)
	return genserver.UpdateRegistry200JSONResponse(out), err
}

func (a api) DeleteRegistry(_ context.Context, r genserver.DeleteRegistryRequestObject) (genserver.DeleteRegistryResponseObject, error) {
	return genserver.DeleteRegistry204Response{}, a.deleteRegistry(r.Name)
}

func (a api) GetUsage(context.Context, genserver.GetUsageRequestObject) (genserver.GetUsageResponseObject, error) {
	out, err := a.usage()
	return genserver.GetUsage200JSONResponse(out), err
}

// ListUsageCosts is refused: nothing is charged for on one's own machine.
func (a api) ListUsageCosts(context.Context, genserver.ListUsageCostsRequestObject) (genserver.ListUsageCostsResponseObject, error) {
	return nil, notSupported("costs: nothing is charged for")
}

func (a api) ReportActivity(_ context.Context, r genserver.ReportActivityRequestObject) (genserver.ReportActivityResponseObject, error) {
	out, err := a.touch(*r.Body)
	return genserver.ReportActivity200JSONResponse(out), err
}

func (a api) StartSandboxInternal(ctx context.Context, r genserver.StartSandboxInternalRequestObject) (genserver.StartSandboxInternalResponseObject, error) {
	out, err := a.wakeBox(ctx, r.Name)
	return genserver.StartSandboxInternal200JSONResponse(addressed(ctx, out)), err
}
