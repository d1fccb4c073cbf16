package contract_test

import (
	"context"
	"net/http"
	"time"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

// serviceCalls are the operations of the vectors that share services and
// files.
var serviceCalls = map[string]vectorCall{
	"Service": func(ctx context.Context, c *sandboxclient.Client, v *vector) (any, error) {
		service, err := vectorService(c, v)
		if err != nil {
			return nil, err
		}
		answer, err := service.Get(ctx)
		if err != nil || v.Call.Then != "token" {
			return answer, err
		}
		return service.Get(ctx) // as Token does, and all of the answer is compared
	},
	"ServiceRequest": func(ctx context.Context, c *sandboxclient.Client, v *vector) (any, error) {
		service, err := vectorService(c, v)
		if err != nil {
			return nil, err
		}
		asked := arg[struct{ Method, Path string }](v, "request")
		req, err := http.NewRequestWithContext(ctx, asked.Method, asked.Path, http.NoBody)
		must(err)
		resp, err := service.Client().Do(req)
		if err != nil {
			return nil, err
		}
		return map[string]any{"status": resp.StatusCode}, resp.Body.Close()
	},
	"DownloadURL": func(ctx context.Context, c *sandboxclient.Client, v *vector) (any, error) {
		lifetime, err := vectorLifetime(v)
		if err != nil {
			return nil, err
		}
		return target(c, v).DownloadURL(ctx, arg[string](v, "path"), &sandboxclient.DownloadURLOptions{
			ExpiresIn: lifetime, ContentType: arg[string](v, "content_type"), ContentDisposition: arg[string](v, "content_disposition"),
		})
	},
}

func vectorService(c *sandboxclient.Client, v *vector) (*sandboxclient.Service, error) {
	lifetime, err := vectorLifetime(v)
	return target(c, v).Service(arg[int](v, "port"), &sandboxclient.ServiceOptions{ExpiresIn: lifetime}), err
}

// vectorLifetime is the lifetime of a token or link. None at all cannot be
// asked for: the zero duration is the default.
func vectorLifetime(v *vector) (time.Duration, error) {
	lifetime := seconds(arg[float64](v, "expires_in_seconds"))
	if v.Call.Args["expires_in_seconds"] != nil && lifetime == 0 {
		return 0, errUnwritable
	}
	return lifetime, nil
}
