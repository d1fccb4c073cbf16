package sandboxclient_test

import (
	"errors"
	"io"
	"net/http"
	"testing"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

// TestUnaskedAnswers: what was not asked for is never taken for the file.
func TestUnaskedAnswers(t *testing.T) {
	t.Parallel()
	part := func(placed, content string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("ETag", `"v1"`)
			w.Header().Set("Content-Range", placed)
			w.WriteHeader(http.StatusPartialContent)
			_ = http.NewResponseController(w).Flush() // without a length
			_, _ = io.WriteString(w, content)
		}
	}
	for name, tt := range map[string]struct {
		opts   *sandboxclient.DownloadOptions
		answer http.HandlerFunc
	}{
		"a part of all":    {nil, part("bytes 0-3/100", "0123")},
		"another part":     {&sandboxclient.DownloadOptions{Range: sandboxclient.RangeFrom(10)}, part("bytes 0-3/100", "0123")},
		"too long a part":  {&sandboxclient.DownloadOptions{Range: sandboxclient.RangePart(2, 2)}, part("bytes 2-5/100", "2345")},
		"too long an end":  {&sandboxclient.DownloadOptions{Range: sandboxclient.RangeLast(2)}, part("bytes 96-99/100", "6789")},
		"more than said":   {&sandboxclient.DownloadOptions{Range: sandboxclient.RangePart(2, 2)}, part("bytes 2-3/100", "2345")},
		"nothing modified": {nil, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotModified) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sb := dataplane(t, tt.answer)
			d, err := sb.Download(t.Context(), "/f", tt.opts)
			if err == nil {
				_, err = io.ReadAll(d)
				err = errors.Join(err, d.Close())
			}
			if !errors.Is(err, sandboxclient.ErrProtocol) {
				t.Error(err)
			}
		})
	}
}
