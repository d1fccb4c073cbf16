package contract_test

import (
	"context"
	"testing"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

func driveServices(t *testing.T, ctx context.Context, s *localServer) { //nolint:revive // t first
	answer := ok[*sandboxclient.ServiceURL](t)
	sb := ok[*sandboxclient.Sandbox](t)(s.c.Create(ctx, &sandboxclient.CreateSandbox{Name: "shared"}))
	defer sb.Delete(ctx)
	gone := s.c.FromInfo(sandboxclient.Info{Name: "gone"})

	byToken := answer(sb.Service(8080, &sandboxclient.ServiceOptions{EmbedOrigins: []string{"https://App.test:443"}}).Get(ctx))
	if byToken.Token == "" || byToken.ExpiresAt == "" || byToken.EmbedURL == "" || byToken.Access != "" || byToken.EmbedOrigins[0] != "https://app.test" {
		t.Errorf("shared by token: %+v", byToken)
	}
	byLogin := answer(sb.Service(8081, &sandboxclient.ServiceOptions{Access: sandboxclient.ServiceRestricted}).Get(ctx))
	if byLogin.Token != "" || byLogin.ExpiresAt != "" || byLogin.EmbedURL != "" || byLogin.Access != sandboxclient.ServiceRestricted {
		t.Errorf("shared by login: %+v", byLogin)
	}
	_, err := sb.Service(8081, nil).Get(ctx)
	is(t, err, sandboxclient.ErrConflict)
	_, err = gone.Service(8080, nil).Get(ctx)
	is(t, err, sandboxclient.ErrNotFound)

	shared := collect(t, sb.Services(ctx, &sandboxclient.ListServicesParams{PageSize: new(1)}))
	if len(shared) != 2 || shared[0].Port != 8081 || shared[0].Access != sandboxclient.ServiceGrantRestricted ||
		shared[1].Port != 8080 || shared[1].Access != sandboxclient.ServiceGrantToken || shared[1].ExpiresAt.IsZero() {
		t.Errorf("shared: %+v", shared)
	}
	for _, err := range gone.Services(ctx, nil) {
		is(t, err, sandboxclient.ErrNotFound)
	}
	answer(sb.Service(8081, &sandboxclient.ServiceOptions{Access: sandboxclient.ServiceOff}).Get(ctx))
	if err := sb.DeleteService(ctx, 8081); err != nil {
		t.Error(err)
	}
	if shared := collect(t, sb.Services(ctx, nil)); len(shared) != 1 {
		t.Errorf("%d shared after one was deleted", len(shared))
	}
	if err := sb.DeleteServices(ctx); err != nil {
		t.Error(err)
	}
	if shared := collect(t, sb.Services(ctx, nil)); len(shared) != 0 {
		t.Errorf("%d shared after all were deleted", len(shared))
	}
	is(t, gone.DeleteServices(ctx), sandboxclient.ErrNotFound)

	ok[*sandboxclient.DownloadURL](t)(sb.DownloadURL(ctx, "/tmp/a", nil))
	_, err = sb.DownloadURL(ctx, "/tmp/a", &sandboxclient.DownloadURLOptions{ContentType: "no type"})
	is(t, err, sandboxclient.ErrInvalid)
	_, err = gone.DownloadURL(ctx, "/tmp/a", nil)
	is(t, err, sandboxclient.ErrNotFound)
}
