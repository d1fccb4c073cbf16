package contract_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/langsandbox/sandbox-go/sandboxclient"
	"github.com/langsandbox/sandbox-go/sandboxserver"
)

// TestAutoDelete: however a scope ends, the server has no sandbox afterwards.
func TestAutoDelete(t *testing.T) {
	t.Parallel()
	errBoom := errors.New("boom")
	tests := map[string]func(t *testing.T, s *localServer){
		"after Close": func(t *testing.T, s *localServer) {
			t.Helper()
			e := ok[*sandboxclient.Ephemeral](t)(s.c.Ephemeral(t.Context(), nil))
			if err := errors.Join(e.Close(), e.Close()); err != nil {
				t.Error(err)
			}
		},
		"after an error": func(t *testing.T, s *localServer) {
			t.Helper()
			is(t, s.c.Use(t.Context(), nil, func(context.Context, *sandboxclient.Sandbox) error { return errBoom }), errBoom)
		},
		"after a panic": func(t *testing.T, s *localServer) {
			t.Helper()
			defer func() {
				if r := recover(); r != errBoom { //nolint:errorlint // the very value
					t.Errorf("recovered %v", r)
				}
			}()
			_ = s.c.Use(t.Context(), nil, func(context.Context, *sandboxclient.Sandbox) error { panic(errBoom) })
		},
		"after a cancelled run": func(t *testing.T, s *localServer) {
			t.Helper()
			ctx, cancel := context.WithCancel(t.Context())
			err := s.c.Use(ctx, nil, func(ctx context.Context, sb *sandboxclient.Sandbox) error {
				s.chk.before = func(req *http.Request) {
					if strings.HasSuffix(req.URL.Path, "/execute") {
						cancel()
					}
				}
				_, err := sb.Execute(ctx, "sleep 1000", nil)
				return err
			})
			is(t, err, context.Canceled)
			is(t, err, sandboxclient.ErrOutcomeUnknown)
		},
		"after a lost answer": func(t *testing.T, s *localServer) {
			t.Helper()
			s.chk.lose = "createSandbox"
			_, err := s.c.Ephemeral(t.Context(), nil)
			is(t, err, io.ErrUnexpectedEOF)
			is(t, err, sandboxclient.ErrOutcomeUnknown)
		},
		"after a create cancelled on its way": func(t *testing.T, s *localServer) {
			t.Helper()
			ctx, cancel := context.WithCancel(t.Context())
			s.chk.before = func(req *http.Request) {
				if req.Method == http.MethodPost {
					cancel()
				}
			}
			_, err := s.c.Ephemeral(ctx, nil)
			is(t, err, context.Canceled)
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startServer(t, "/v2/sandboxes", sandboxserver.Config{})
			test(t, s)
			s.chk.before = nil
			for sb, err := range s.c.List(t.Context(), nil) {
				if err != nil {
					t.Fatal(err)
				}
				t.Errorf("%s is left", sb.Name())
			}
		})
	}
}
