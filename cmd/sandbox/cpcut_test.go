package main

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

// TestCpCutShort: a file that did not come whole is not there, nor is a part of
// it, and one that was there is as before.
func TestCpCutShort(t *testing.T) {
	t.Parallel()
	cut := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = io.WriteString(w, "half")
	}))
	t.Cleanup(cut.Close)
	client, err := sandboxclient.New(sandboxclient.WithEndpoint(cut.URL), sandboxclient.WithAPIKey("k"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	to := filepath.Join(dir, "f")
	if err := os.WriteFile(to, []byte("before"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := &copying{app: &app{}, sb: client.FromInfo(sandboxclient.Info{Name: "box", DataplaneURL: cut.URL}), bar: &bar{}}
	if err := c.fileOut(t.Context(), "/f", to); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("error %v", err)
	}
	entries, err := os.ReadDir(dir)
	got, readErr := os.ReadFile(to)
	if err := errors.Join(err, readErr); err != nil || len(entries) != 1 || string(got) != "before" {
		t.Errorf("left: %v, %q, %v", entries, got, err)
	}
}
