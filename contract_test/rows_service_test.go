package contract_test

import (
	"context"
	"time"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

var serviceRows = []contractRow{
	{op: "createServiceURL", method: "Service.Get", drive: func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		v, err := f.sandbox(c).Service(8080, nil).Get(ctx)
		return keep(f, v, err)
	}},
	{op: "createServiceURL", method: "Service.Get with a lifetime", drive: func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		v, err := f.sandbox(c).Service(8080, &sandboxclient.ServiceOptions{ExpiresIn: time.Hour, EmbedOrigins: []string{"https://app.test"}}).Get(ctx)
		return keep(f, v, err)
	}},
	{op: "createServiceURL", method: "Service.Get with a login", drive: func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		v, err := f.sandbox(c).Service(8081, &sandboxclient.ServiceOptions{Access: sandboxclient.ServiceWorkspace, EmbedOrigins: []string{"http://localhost:3000"}}).Get(ctx)
		return keep(f, v, err)
	}},
	{op: "createServiceURL", method: "Service.Token", drive: func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		_, err := f.sandbox(c).Service(8080, nil).Token(ctx)
		return err
	}},
	{op: "createServiceURL", method: "Service.URL", drive: func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		_, err := f.sandbox(c).Service(8080, nil).URL(ctx)
		return err
	}},
	{op: "createServiceURL", method: "Service.BrowserURL", drive: func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		_, err := f.sandbox(c).Service(8080, &sandboxclient.ServiceOptions{Access: sandboxclient.ServiceOff}).BrowserURL(ctx)
		return err
	}},
	{op: "listServiceURLs", method: "Sandbox.Services", drive: func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		return keepAll(f, f.sandbox(c).Services(ctx, nil))
	}},
	{op: "listServiceURLs", method: "Sandbox.Services from a cursor", drive: func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		return keepAll(f, f.sandbox(c).Services(ctx, &sandboxclient.ListServicesParams{PageSize: new(10), Cursor: new("c")}))
	}},
	{op: "deleteServiceURLs", method: "Sandbox.DeleteService", drive: func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		return f.sandbox(c).DeleteService(ctx, 8080)
	}},
	{op: "deleteServiceURLs", method: "Sandbox.DeleteServices", drive: func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		return f.sandbox(c).DeleteServices(ctx)
	}},
	{op: "createDownloadURL", method: "Sandbox.DownloadURL", drive: func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		v, err := f.sandbox(c).DownloadURL(ctx, "/tmp/a", nil)
		return keep(f, v, err)
	}},
	{op: "createDownloadURL", method: "Sandbox.DownloadURL in full", drive: func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		v, err := f.sandbox(c).DownloadURL(ctx, "/tmp/a", &sandboxclient.DownloadURLOptions{
			ExpiresIn: time.Hour, ContentType: "text/html", ContentDisposition: "inline",
			CSPSandboxFlags:  []sandboxclient.CSPSandboxFlag{sandboxclient.CSPAllowScripts},
			CSPSourceBundles: []sandboxclient.CSPSourceBundle{sandboxclient.CSPSourceNone},
		})
		return keep(f, v, err)
	}},
	{op: "createDownloadURL", method: "Sandbox.DownloadURL without a lock", drive: func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		v, err := f.sandbox(c).DownloadURL(ctx, "/tmp/a", &sandboxclient.DownloadURLOptions{NoCSPSandbox: true})
		return keep(f, v, err)
	}},
}
