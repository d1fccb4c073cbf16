package sandboxclient_test

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

// TestDownloadURL: what is refused, and what is sent for the rest.
func TestDownloadURL(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		path string
		opts *sandboxclient.DownloadURLOptions
		want string // the body; empty is refused
	}{
		"T190 least": {"/app/report.pdf", nil, `{"path":"/app/report.pdf"}`},
		"T191 most": {
			"/app/report.pdf", &sandboxclient.DownloadURLOptions{ExpiresIn: time.Hour, ContentType: "application/pdf", ContentDisposition: "inline"},
			`{"path":"/app/report.pdf","expires_in_seconds":3600,"content_type":"application/pdf","content_disposition":"inline"}`,
		},
		"part of a second": {"a", &sandboxclient.DownloadURLOptions{ExpiresIn: 1}, `{"path":"a","expires_in_seconds":1}`},
		"no lock":          {"a", &sandboxclient.DownloadURLOptions{NoCSPSandbox: true}, `{"path":"a","csp_sandbox":false}`},
		"flags without lock": {"a", &sandboxclient.DownloadURLOptions{
			NoCSPSandbox: true, CSPSandboxFlags: []sandboxclient.CSPSandboxFlag{sandboxclient.CSPAllowForms},
		}, ""},
		"T192 negative life": {"a", &sandboxclient.DownloadURLOptions{ExpiresIn: -1}, ""},
		"no path":            {"", nil, ""},
		"zero byte":          {"a\x00", nil, ""},
		"two headers":        {"a", &sandboxclient.DownloadURLOptions{ContentType: "text/html\r\nX: y"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &fake{answer: always(200, `{"download_url":"https://dl.test/t","token":"t","expires_at":null}`)}
			link, err := box(client(t, f)).DownloadURL(t.Context(), tt.path, tt.opts)
			if tt.want == "" {
				if !errors.Is(err, sandboxclient.ErrInvalid) || len(f.requests()) != 0 {
					t.Errorf("error %v after %d requests", err, len(f.requests()))
				}
				return
			}
			var want, got any
			if err := errors.Join(err, json.Unmarshal([]byte(tt.want), &want), json.Unmarshal([]byte(f.requests()[0].body), &got)); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" || !link.ExpiresAt.IsZero() {
				t.Errorf("expires %v, body (-want +got):\n%s", link.ExpiresAt, diff)
			}
		})
	}
}
