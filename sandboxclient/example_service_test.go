package sandboxclient_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

// A service in a sandbox is reached by an HTTP client of its own, whose
// requests have the token and may leave the address out.
func ExampleSandbox_Service() {
	defer serve()()
	ctx := context.Background()
	program := func() (err error) {
		c, err := sandboxclient.New()
		if err != nil {
			return err
		}
		sb, err := c.Ephemeral(ctx, nil)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, sb.Close()) }()
		service := sb.Service(8080, &sandboxclient.ServiceOptions{ExpiresIn: time.Hour})
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "/healthz", http.NoBody)
		if err != nil {
			return err
		}
		resp, err := service.Client().Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		fmt.Println(resp.StatusCode) // nothing listens in this sandbox

		u, err := service.BrowserURL(ctx)
		if err != nil {
			return err
		}
		fmt.Println(u.Path, strings.Contains(u.Host, "--8080."))
		return nil
	}
	if err := program(); err != nil {
		fmt.Println(err)
	}
	// Output:
	// 502
	// /_svc/auth true
}

// Whoever has a download link reads the file, without a key.
func ExampleSandbox_DownloadURL() {
	defer serve()()
	ctx := context.Background()
	program := func() (err error) {
		c, err := sandboxclient.New()
		if err != nil {
			return err
		}
		sb, err := c.Ephemeral(ctx, nil)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, sb.Close()) }()
		if err := sb.WriteFile(ctx, "report.txt", []byte("all is well")); err != nil {
			return err
		}
		link, err := sb.DownloadURL(ctx, "report.txt", &sandboxclient.DownloadURLOptions{ExpiresIn: time.Hour})
		if err != nil {
			return err
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, link.DownloadURL, http.NoBody)
		if err != nil {
			return err
		}
		resp, err := new(http.Client).Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		fmt.Println(resp.Header.Get("Content-Disposition"))
		_, err = io.Copy(os.Stdout, resp.Body)
		return err
	}
	if err := program(); err != nil {
		fmt.Println(err)
	}
	// Output:
	// attachment; filename=report.txt
	// all is well
}

// Shared services are listed until their last token has expired.
func ExampleSandbox_Services() {
	defer serve()()
	ctx := context.Background()
	program := func() error {
		c, err := sandboxclient.New()
		if err != nil {
			return err
		}
		return c.Use(ctx, nil, func(ctx context.Context, sb *sandboxclient.Sandbox) error {
			if _, err := sb.Service(3000, nil).Token(ctx); err != nil {
				return err
			}
			for grant, err := range sb.Services(ctx, nil) {
				if err != nil {
					return err
				}
				fmt.Println(grant.Port, grant.Access)
			}
			return sb.DeleteServices(ctx)
		})
	}
	if err := program(); err != nil {
		fmt.Println(err)
	}
	// Output: 3000 token
}
