package sandboxtest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/langsandbox/sandbox-go/sandboxclient"
	"github.com/langsandbox/sandbox-go/sandboxserver"
	"github.com/langsandbox/sandbox-go/sandboxtest"
)

// TestTunnelsAndServices are taped, too: bytes in frames of their own, and
// tokens that a replay must not find expired.
func TestTunnelsAndServices(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "tunnel.tape")
	listener := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "hello from "+r.URL.Path)
	}))
	address := listener.Listener.Addr().String()
	within(t, func(t *testing.T) {
		defer listener.Close()
		client, _ := sandboxtest.New(t,
			sandboxtest.WithConfig(func(c *sandboxserver.Config) { c.Isolation = sandboxserver.IsolationProcess }), // so that the listener is in the sandbox
			sandboxtest.WithClient(sandboxclient.WithHTTPClient(&http.Client{Transport: sandboxtest.Record(t, path, nil)})))
		reach(t, client, address)
	})
	within(t, func(t *testing.T) {
		client := replaying(t, path)
		defer client.Close()
		reach(t, client, address)
	})
}

// reach asks a service in a sandbox, by a tunnel and by its link.
func reach(t *testing.T, client *sandboxclient.Client, address string) {
	t.Helper()
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	err = client.Use(t.Context(), nil, func(ctx context.Context, sb *sandboxclient.Sandbox) error {
		tunnel := &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return sb.DialContext(ctx, network, address)
		}}
		defer tunnel.CloseIdleConnections()
		service := sb.Service(number, nil)
		base, err := service.URL(ctx)
		if err != nil {
			return err
		}
		for range 2 { // with one token
			_, one, tunnelErr := send(ctx, tunnel, "GET", "http://in.the.sandbox/file", "")
			_, two, serviceErr := send(ctx, service, "GET", base.JoinPath("file").String(), "")
			if one != "hello from /file" || two != one {
				err = errors.Join(err, tunnelErr, serviceErr, fmt.Errorf("answers %q and %q", one, two))
			}
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
