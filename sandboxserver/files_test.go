//go:build unix

package sandboxserver

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/langsandbox/sandbox-go/internal/runtime"
)

// onDisk lets the sandboxes of a fake runtime open real files.
func onDisk(b *bench) (dir string) {
	dir = b.t.TempDir()
	b.fake.open = func(name string, flag int) (*os.File, error) {
		return os.OpenFile(filepath.Join(dir, name), flag, 0o600)
	}
	return dir
}

func TestDownload(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	dir := onDisk(b)
	s := b.box(map[string]any{"name": "x"})
	content := strings.Repeat("0123456789", 10)
	if err := os.WriteFile(filepath.Join(dir, "f"), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	get := func(method string, header ...string) answer {
		r := request(method, dataplane(s)+"/download?path=f", nil)
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		r.Header.Set("Accept", "application/json") // as the Go SDK sends with everything
		return b.do(r)
	}
	whole := get("GET")
	etag := whole.header.Get("ETag")
	if whole.status != 200 || whole.body != content || whole.header.Get("Content-Type") != "application/octet-stream" ||
		whole.header.Get("Content-Length") != "100" || whole.header.Get("Last-Modified") == "" ||
		!strings.HasPrefix(etag, `"`) || whole.header.Get("Accept-Ranges") != "bytes" {
		t.Errorf("%+v", whole)
	}
	if head := get("HEAD"); head.status != 200 || head.body != "" || head.header.Get("Content-Length") != "100" || head.header.Get("ETag") != etag {
		t.Errorf("%+v", head)
	}
	for _, c := range []struct {
		header []string
		status int
		body   string
		place  string
	}{
		{[]string{"Range", "bytes=10-13"}, 206, "0123", "bytes 10-13/100"},
		{[]string{"Range", "bytes=98-"}, 206, "89", "bytes 98-99/100"},
		{[]string{"Range", "bytes=-3"}, 206, "789", "bytes 97-99/100"},
		{[]string{"Range", "bytes=98-", "If-Range", etag}, 206, "89", "bytes 98-99/100"},
		{[]string{"Range", "bytes=98-", "If-Range", `"other"`}, 200, content, ""},
		{[]string{"Range", "bytes=100-"}, 416, "", "bytes */100"},
		{[]string{"If-None-Match", etag}, 304, "", ""},
	} {
		a := get("GET", c.header...)
		if a.status != c.status || a.header.Get("Content-Range") != c.place || c.status != 416 && a.body != c.body {
			t.Errorf("%v: %+v", c.header, a)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "f"), []byte(content+"!"), 0o600); err != nil {
		t.Fatal(err)
	}
	if changed := get("GET", "If-None-Match", etag); changed.status != 200 || changed.header.Get("ETag") == etag {
		t.Errorf("%+v", changed)
	}
	byName := b.do(request("GET", "/api/v2/sandboxes/x/download?path=f", nil))
	if byName.body != content+"!" {
		t.Errorf("%+v", byName)
	}
}

func TestUpload(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	dir := onDisk(b)
	s := b.box(map[string]any{})
	if a := b.upload(s, "new+file", "first, and longer"); a.status != 200 || a.body != `{"path":"new file","written":17}`+"\n" {
		t.Errorf("%+v", a)
	}
	if a := b.upload(s, "new%20file", "second"); a.status != 200 {
		t.Errorf("%+v", a)
	}
	if got, err := os.ReadFile(filepath.Join(dir, "new file")); string(got) != "second" || err != nil {
		t.Errorf("%q %v", got, err)
	}
	b.refused(b.do(uploadRequest(dataplane(s)+"/upload?path=f", "other", "x")), 422, "", "file is required")
	b.refused(b.do(uploadRequest(dataplane(s)+"/upload", "file", "x")), 422, "", "path is required")
	b.refused(b.do(uploadRequest(dataplane(s)+"/upload?path=", "file", "x")), 422, "", "path must not be empty")
	b.refused(b.do(request("POST", dataplane(s)+"/upload?path=f", "{}")), 415, codeMediaType)
	broken := request("POST", dataplane(s)+"/upload?path=f", "nonsense")
	broken.Header.Set("Content-Type", "multipart/form-data; boundary=x")
	b.refused(b.do(broken), 422, "", "multipart")
	if _, err := os.Stat(filepath.Join(dir, "f")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a refused upload made a file: %v", err)
	}
	cut := uploadRequest(dataplane(s)+"/upload?path=cut", "file", strings.Repeat("x", 10000))
	cut.Body = io.NopCloser(io.LimitReader(cut.Body, 5000))
	b.refused(b.do(cut), 400, codeWrite, "cut")
}

// TestUploadTooLarge: a file beyond the limit is refused, before it is written
// where its size is known.
func TestUploadTooLarge(t *testing.T) {
	t.Parallel()
	eachIsolation(t, func(b *bench) {
		s := b.box(map[string]any{})
		if a := b.upload(s, "fits", strings.Repeat("x", 100)); a.status != 200 {
			b.t.Error(a)
		}
		unannounced := uploadRequest(dataplane(s)+"/upload?path=long", "file", strings.Repeat("x", 101))
		unannounced.ContentLength = -1
		b.refused(b.do(unannounced), 413, codeTooLarge, "100 bytes")
		b.refused(b.upload(s, "huge", strings.Repeat("x", 100+2*maxPartHeader)), 413, codeTooLarge, "100 bytes")
		b.refused(b.do(request("GET", dataplane(s)+"/download?path=huge", nil)), 404, codeFileNotFound)
	}, func(c *Config) { c.MaxUpload = 100 })
}

// TestETagTellsChanges: also of a file whose size and time are as before.
func TestETagTellsChanges(t *testing.T) {
	t.Parallel()
	eachIsolation(t, func(b *bench) {
		s := b.box(map[string]any{})
		tag := func() string {
			return b.do(request("HEAD", dataplane(s)+"/download?path=f", nil)).header.Get("ETag")
		}
		b.upload(s, "f", "one")
		b.run(s, "touch -d 2020-01-02 f")
		before := tag()
		if before == "" || before != tag() {
			b.t.Errorf("etag %q, then %q", before, tag())
		}
		b.run(s, "sleep 0.05; printf two > f; touch -d 2020-01-02 f")
		if before == tag() {
			b.t.Errorf("etag %q is of both", before)
		}
		changed := request("GET", dataplane(s)+"/download?path=f", nil)
		changed.Header.Set("If-Match", before)
		if a := b.do(changed); a.status != 412 || a.body != "" {
			b.t.Errorf("%+v", a)
		}
		several := request("GET", dataplane(s)+"/download?path=f", nil)
		several.Header.Set("Range", "bytes=0-0,2-2")
		if a := b.do(several); a.status != 206 || !strings.HasPrefix(a.header.Get("Content-Type"), "multipart/byteranges") {
			b.t.Errorf("%+v", a)
		}
	})
}

func TestFileProblems(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	s := b.box(map[string]any{"name": "x"})
	for _, c := range []struct {
		err    error
		status int
		read   string
		write  string
	}{
		{fs.ErrNotExist, 404, codeFileNotFound, codeFileNotFound},
		{fs.ErrPermission, 403, codePermission, codePermission},
		{syscall.EISDIR, 400, codeRead, codeWrite},
		{syscall.EINVAL, 400, codeRead, codeWrite},
		{syscall.ENOSPC, 400, codeRead, codeWrite},
		{runtime.ErrClosed, 400, codeNotReady, codeNotReady},
	} {
		b.fake.open = func(name string, _ int) (*os.File, error) {
			return nil, fmt.Errorf("agent: %w", &fs.PathError{Op: "open", Path: "/host/dir/" + name, Err: c.err})
		}
		down := b.do(request("GET", dataplane(s)+"/download?path=/a/b", nil))
		b.refused(down, c.status, c.read)
		up := b.upload(s, "/a/b", "x")
		b.refused(up, c.status, c.write)
		if strings.Contains(down.body+up.body, "/host") {
			t.Errorf("%s %s", down.body, up.body)
		}
	}
	b.refused(b.do(request("GET", dataplane(s)+"/download", nil)), 422, "", "path is required")
	b.template("old", nil)
	s = b.box(map[string]any{"name": "first", "template_name": "old"})
	b.want(204, "POST", "/boxes/first/stop", nil)
	b.refused(b.do(request("GET", dataplane(s)+"/download?path=f", nil)), 400, codeNotReady, "stopped")
	b.refused(b.upload(s, "f", "x"), 400, codeNotReady, "stopped")
	b.refused(b.do(request(http.MethodGet, "/dp/unknown/download?path=f", nil)), 404, codeNotFound, "unknown")
}

func TestFilesOfTheRealThing(t *testing.T) {
	t.Parallel()
	eachIsolation(t, func(b *bench) {
		s := b.box(map[string]any{})
		big := strings.Repeat("0123456789abcdef", 1<<18) // 4 MiB
		if a := b.upload(s, "dir/big", big); a.status != 200 {
			b.t.Fatal(a)
		}
		if a := b.do(request("GET", dataplane(s)+"/download?path=dir/big", nil)); a.body != big {
			b.t.Errorf("%d bytes came back", len(a.body))
		}
		b.refused(b.do(request("GET", dataplane(s)+"/download?path=dir", nil)), 400, codeRead, "directory")
		b.refused(b.upload(s, "dir", "x"), 400, codeWrite, "directory")
		b.refused(b.do(request("GET", dataplane(s)+"/download?path=none", nil)), 404, codeFileNotFound)
		if got := b.run(s, "wc -c < dir/big; mkfifo pipe"); strings.TrimSpace(got.Stdout) != "4194304" {
			b.t.Errorf("%+v", got)
		}
		if b.server.Isolation() == IsolationOCI { // pipes are the sandbox's own kernel's
			return
		}
		b.refused(b.do(request("GET", dataplane(s)+"/download?path=pipe", nil)), 400, codeRead)
	})
}
