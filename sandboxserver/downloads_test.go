package sandboxserver

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/langsandbox/sandbox-go/gen"
)

// newLibrary is a server whose sandboxes have one file, with whatever name.
func newLibrary(t *testing.T, content string) (*bench, gen.Sandbox) {
	t.Helper()
	b := newBench(t)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	b.fake.open = func(name string, flag int) (*os.File, error) {
		if strings.Contains(name, "missing") {
			return nil, &os.PathError{Op: "open", Path: name, Err: os.ErrNotExist}
		}
		return os.OpenFile(file, flag, 0)
	}
	return b, b.box(map[string]any{})
}

func (b *bench) link(sb gen.Sandbox, body map[string]any) gen.DownloadURL {
	b.t.Helper()
	return decode[gen.DownloadURL](b.t, b.want(200, "POST", "/boxes/"+sb.Name+"/download-url", body))
}

// fetch uses a link without a key.
func (b *bench) fetch(method, link string, header http.Header) answer {
	b.t.Helper()
	u, err := url.Parse(link)
	if err != nil {
		b.t.Fatal(err)
	}
	r := request(method, u.EscapedPath(), nil)
	r.Header = header
	if r.Header == nil {
		r.Header = http.Header{}
	}
	return b.do(r)
}

// TestLinks: a link serves its file to whoever has it, as it was asked for.
func TestLinks(t *testing.T) {
	t.Parallel()
	b, sb := newLibrary(t, "0123456789")
	plain := b.link(sb, map[string]any{"path": "/app/report ü.pdf"})
	if !plain.ExpiresAt.IsZero() || !strings.HasSuffix(plain.DownloadURL, "/report%20%C3%BC.pdf") {
		t.Errorf("link %+v", plain)
	}
	a := b.fetch("GET", plain.DownloadURL, nil)
	want := map[string]string{
		"Content-Type": "application/pdf", "Content-Disposition": "attachment; filename*=utf-8''report%20%C3%BC.pdf",
		"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "private, no-cache", "Accept-Ranges": "bytes",
		"Content-Security-Policy": "sandbox; default-src 'unsafe-inline' 'unsafe-eval' data: blob: https://cdnjs.cloudflare.com https://fonts.googleapis.com https://fonts.gstatic.com https://cdn.jsdelivr.net https://unpkg.com",
	}
	for name, value := range want {
		if got := a.header.Get(name); got != value {
			t.Errorf("%s is %q, want %q", name, got, value)
		}
	}
	if a.status != 200 || a.body != "0123456789" {
		t.Errorf("status %d, %q", a.status, a.body)
	}
	if a := b.fetch("HEAD", plain.DownloadURL, nil); a.status != 200 || a.body != "" || a.header.Get("Content-Length") != "10" {
		t.Errorf("HEAD: status %d, %q, %v", a.status, a.body, a.header)
	}
	tag := a.header.Get("ETag")
	for name, tt := range map[string]struct {
		header http.Header
		status int
		body   string
	}{
		"a range":            {http.Header{"Range": {"bytes=2-4"}}, 206, "234"},
		"a suffix":           {http.Header{"Range": {"bytes=-2"}}, 206, "89"},
		"a range too far":    {http.Header{"Range": {"bytes=99-"}}, 416, ""},
		"still the same":     {http.Header{"Range": {"bytes=2-4"}, "If-Range": {tag}}, 206, "234"},
		"no longer the same": {http.Header{"Range": {"bytes=2-4"}, "If-Range": {`"x"`}}, 200, "0123456789"},
		"known":              {http.Header{"If-None-Match": {tag}}, 304, ""},
	} {
		if a := b.fetch("GET", plain.DownloadURL, tt.header); a.status != tt.status || tt.status != 416 && a.body != tt.body {
			t.Errorf("%s: status %d, %q", name, a.status, a.body)
		}
	}
	page := b.link(sb, map[string]any{"path": "x", "content_type": "text/html", "content_disposition": "inline", "expires_in_seconds": 60, "csp_sandbox": false, "csp_source_bundles": []string{"any"}})
	a = b.fetch("GET", page.DownloadURL, nil)
	if a.header.Get("Content-Type") != "text/html" || a.header.Get("Content-Disposition") != "inline; filename=x" || a.header.Get("Content-Security-Policy") != "" {
		t.Errorf("%v", a.header)
	}
	if left := time.Until(page.ExpiresAt); left < 55*time.Second || left > time.Minute {
		t.Errorf("expires in %v", left)
	}
	locked := b.link(sb, map[string]any{"path": "x", "csp_sandbox_flags": []string{"allow-scripts", "allow-forms"}, "csp_source_bundles": []string{"none"}})
	if got := b.fetch("GET", locked.DownloadURL, nil).header.Get("Content-Security-Policy"); got != "sandbox allow-scripts allow-forms; default-src 'unsafe-inline' 'unsafe-eval' data: blob:" {
		t.Errorf("policy %q", got)
	}
}

// TestLinkRefusals: what a link is not good for.
func TestLinkRefusals(t *testing.T) {
	t.Parallel()
	b, sb := newLibrary(t, "secret")
	link := b.link(sb, map[string]any{"path": "/a"})
	service, err := b.server.engine.signer.sign(claims{Kind: tokenService, Sandbox: sb.ID, Path: "/a"})
	if err != nil {
		t.Fatal(err)
	}
	expired, err := b.server.engine.signer.sign(claims{Kind: tokenDownload, Sandbox: sb.ID, Path: "/a", Expires: time.Now().Unix()})
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		method, token string
		status        int
		code          string
	}{
		"expired":      {"GET", expired, 403, codeForbidden},
		"altered":      {"GET", "x" + link.Token, 403, codeForbidden},
		"another use":  {"GET", service, 403, codeForbidden},
		"nothing":      {"GET", "", 403, codeForbidden},
		"a write":      {"POST", link.Token, 405, codeMethodNotAllowed},
		"file is gone": {"GET", b.link(sb, map[string]any{"path": "/missing"}).Token, 404, codeFileNotFound},
	} {
		a := b.fetch(tt.method, "/dl/"+tt.token+"/a", nil)
		b.refused(a, tt.status, tt.code)
		if strings.Contains(a.body, "secret") {
			t.Errorf("%s: the file came all the same", name)
		}
	}
	for _, body := range []map[string]any{
		{"path": ""},
		{"path": "a\x00"},
		{"path": "a", "expires_in_seconds": 0},
		{"path": "a", "content_type": "x y"},
		{"path": "a", "content_disposition": "form-data"},
		{"path": "a", "csp_sandbox": false, "csp_sandbox_flags": []string{"allow-forms"}},
		{"path": "a", "csp_sandbox_flags": []string{"allow-all; script-src *"}},
		{"path": "a", "csp_source_bundles": []string{"none", "unpkg"}},
		{"path": strings.Repeat("a", maxToken)},
	} {
		b.want(422, "POST", "/boxes/"+sb.Name+"/download-url", body)
	}
	b.want(204, "DELETE", "/boxes/"+sb.Name, nil)
	b.refused(b.fetch("GET", link.DownloadURL, nil), 404, codeNotFound)
}
