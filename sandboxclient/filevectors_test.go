package sandboxclient_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"mime"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

// uploaded is what a server saw of an upload.
type uploaded struct{ path, header, field, file, media, content string }

// readUpload takes an upload apart, which has exactly one part.
func readUpload(t *testing.T, r *http.Request) uploaded {
	t.Helper()
	_, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		t.Error(err)
		return uploaded{}
	}
	form := multipart.NewReader(r.Body, params["boundary"])
	part, err := form.NextPart()
	if err != nil {
		t.Error(err)
		return uploaded{}
	}
	content, err := io.ReadAll(part)
	if err != nil {
		t.Error(err)
	}
	if _, err := form.NextPart(); !errors.Is(err, io.EOF) {
		t.Errorf("after the file: %v", err)
	}
	return uploaded{r.URL.Query().Get("path"), r.Header.Get("X-Test-Header"), part.FormName(), part.FileName(), part.Header.Get("Content-Type"), string(content)}
}

func TestUploadVectors(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		path, content string
		status        int
		answer        string
	}{
		"T145 upload":          {"/app/test.txt", "hello world", 200, `{"path":"/app/test.txt","written":11}`},
		"T146 no content":      {"/app/test.txt", "hello world", 204, ""},
		"T147 bytes":           {"/app/data.bin", "\x00\x01\x02\x03", 200, `{"path":"/app/data.bin","written":4}`},
		"T148 text":            {"/app/test.txt", "grüß", 200, `{}`},
		"T149 nothing":         {"/app/empty", "", 200, `{}`},
		"a boundary":           {"/app/b", "\r\n--B\r\n--B--\r\n", 200, `{}`},
		"T019 special path":    {"/app/a b+c%d&e=ü.txt", "x", 200, `{}`},
		"a path of raw bytes":  {"/app/\xff\n", "x", 200, `{}`},
		"T150 the header also": {"/app/h", "x", 200, `{}`},
	} {
		for how, write := range map[string]func(*sandboxclient.Sandbox) error{
			"WriteFile": func(sb *sandboxclient.Sandbox) error {
				return sb.WriteFile(sandboxclient.ContextWithHeader(t.Context(), "X-Test-Header", "sandbox-write"), tt.path, []byte(tt.content))
			},
			"Upload of known size": func(sb *sandboxclient.Sandbox) error {
				return sb.Upload(sandboxclient.ContextWithHeader(t.Context(), "X-Test-Header", "sandbox-write"), tt.path, strings.NewReader(tt.content))
			},
			"Upload of unknown size": func(sb *sandboxclient.Sandbox) error {
				return sb.Upload(sandboxclient.ContextWithHeader(t.Context(), "X-Test-Header", "sandbox-write"), tt.path, io.MultiReader(strings.NewReader(tt.content)))
			},
		} {
			t.Run(name+" by "+how, func(t *testing.T) {
				t.Parallel()
				var got uploaded
				var length int64
				sb := dataplane(t, func(w http.ResponseWriter, r *http.Request) {
					length = r.ContentLength
					got = readUpload(t, r)
					w.WriteHeader(tt.status)
					_, _ = io.WriteString(w, tt.answer)
				})
				if err := write(sb); err != nil {
					t.Fatal(err)
				}
				want := uploaded{tt.path, "sandbox-write", "file", "file", "application/octet-stream", tt.content}
				if got != want {
					t.Errorf("the server has %+v, want %+v", got, want)
				}
				if known := how != "Upload of unknown size"; known != (length >= 0) {
					t.Errorf("the announced length is %d", length)
				}
			})
		}
	}
}

func TestFileErrorVectors(t *testing.T) {
	t.Parallel()
	read := func(sb *sandboxclient.Sandbox) error { _, err := sb.ReadFile(t.Context(), "/app/f"); return err }
	write := func(sb *sandboxclient.Sandbox) error { return sb.WriteFile(t.Context(), "/app/f", nil) }
	for name, tt := range map[string]struct {
		call      func(*sandboxclient.Sandbox) error
		status    int
		body      string
		is        []error
		resource  string
		operation string
		text      string
	}{
		"T151": {write, 500, `{"detail":{"error":"WriteError","message":"disk full"}}`, []error{sandboxclient.ErrOperation}, "", "write", "disk full [WriteError]"},
		"T154": {read, 404, `{"error":"NotFound","message":"file not found"}`, []error{sandboxclient.ErrNotFound, fs.ErrNotExist}, "file", "", "file not found"},
		"T155": {read, 500, `{"detail":{"error":"ReadError","message":"is a directory"}}`, []error{sandboxclient.ErrOperation}, "", "read", "is a directory"},
		"T156": {read, 400, `{"detail":{"error":"FileNotFound","message":"m"}}`, []error{sandboxclient.ErrNotFound, fs.ErrNotExist}, "file", "", "m"},
		"T168": {
			func(sb *sandboxclient.Sandbox) error {
				_, err := sb.Glob(t.Context(), "/none", "*", nil)
				return err
			}, 404, `{"detail":{"error":"FileNotFound","message":"no directory"}}`, []error{sandboxclient.ErrNotFound, fs.ErrNotExist}, "file", "", "no directory",
		},
		"too large": {write, 413, `{"detail":{"error":"PayloadTooLarge","message":"m"}}`, []error{sandboxclient.ErrTooLarge}, "", "", "m"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sb := dataplane(t, func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				w.WriteHeader(tt.status)
				_, _ = io.WriteString(w, tt.body)
			})
			err := tt.call(sb)
			pathError, isPath := errors.AsType[*fs.PathError](err)
			api, isAPI := errors.AsType[*sandboxclient.APIError](err)
			if !isPath || !isAPI || pathError.Path == "" {
				t.Fatalf("error %#v", err)
			}
			for _, want := range tt.is {
				if !errors.Is(err, want) {
					t.Errorf("%v is not %v", err, want)
				}
			}
			if api.ResourceType != tt.resource || api.Operation != tt.operation || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("%v: resource %q, operation %q", err, api.ResourceType, api.Operation)
			}
		})
	}
}

// hundred serves a file of 100 bytes as the API does.
func hundred(t *testing.T) (sb *sandboxclient.Sandbox, content string) {
	content = strings.Repeat("0123456789", 10)
	return dataplane(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"v1"`)
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		http.ServeContent(w, r, "", parse("2026-01-02T03:04:05Z"), strings.NewReader(content))
	}), content
}

func TestDownloadVectors(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		opts    *sandboxclient.DownloadOptions
		want    string // slice of the content
		start   int64
		partial bool
	}{
		"T152 all":        {nil, "0-100", 0, false},
		"T158 part":       {&sandboxclient.DownloadOptions{Range: sandboxclient.RangePart(10, 4)}, "10-14", 10, true},
		"T159 from":       {&sandboxclient.DownloadOptions{Range: sandboxclient.RangeFrom(90)}, "90-100", 90, true},
		"T160 last":       {&sandboxclient.DownloadOptions{Range: sandboxclient.RangeLast(5)}, "95-100", 95, true},
		"T161 changed":    {&sandboxclient.DownloadOptions{Range: sandboxclient.RangeFrom(90), IfRange: `"v0"`}, "0-100", 0, false},
		"T161 unchanged":  {&sandboxclient.DownloadOptions{Range: sandboxclient.RangeFrom(90), IfRange: `"v1"`}, "90-100", 90, true},
		"T162 changed":    {&sandboxclient.DownloadOptions{IfNoneMatch: `"v0"`}, "0-100", 0, false},
		"beyond the end":  {&sandboxclient.DownloadOptions{Range: sandboxclient.RangePart(90, 1000)}, "90-100", 90, true},
		"longer than all": {&sandboxclient.DownloadOptions{Range: sandboxclient.RangeLast(1000)}, "0-100", 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sb, content := hundred(t)
			d, err := sb.Download(t.Context(), "/f", tt.opts)
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			got, err := io.ReadAll(d)
			from, to := bounds(t, tt.want)
			if err != nil || string(got) != content[from:to] {
				t.Errorf("read %q, %v", got, err)
			}
			if d.Start() != tt.start || d.Partial() != tt.partial || d.NotModified() || d.Info().Size() != 100 {
				t.Errorf("start %d, partial %v, not modified %v, size %d", d.Start(), d.Partial(), d.NotModified(), d.Info().Size())
			}
		})
	}
}

func TestDownloadOfNothingNew(t *testing.T) {
	t.Parallel()
	sb, _ := hundred(t)
	d, err := sb.Download(t.Context(), "/f", &sandboxclient.DownloadOptions{Range: sandboxclient.RangeFrom(1), IfNoneMatch: `"v1"`})
	if err != nil {
		t.Fatal("T162: ", err)
	}
	got, err := io.ReadAll(d)
	if err := errors.Join(err, d.Close()); err != nil || len(got) > 0 || !d.NotModified() {
		t.Errorf("T162: %q, %v, %v", got, err, d.NotModified())
	}
	_, err = sb.Download(t.Context(), "/f", &sandboxclient.DownloadOptions{Range: sandboxclient.RangeFrom(100)})
	api, _ := errors.AsType[*sandboxclient.APIError](err)
	if !errors.Is(err, sandboxclient.ErrOperation) || api.Operation != "read" || !strings.Contains(err.Error(), "starts past the end") || !strings.Contains(err.Error(), "bytes */100") {
		t.Errorf("T163: %v", err)
	}
}

func TestStatVector(t *testing.T) {
	t.Parallel()
	sb, _ := hundred(t)
	info, err := sb.Stat(t.Context(), "/app/f.txt")
	if err != nil {
		t.Fatal("T157: ", err)
	}
	if info.Size() != 100 || info.ETag() != `"v1"` || info.MediaType() != "text/plain" || info.Name() != "f.txt" || info.Path() != "/app/f.txt" ||
		info.IsDir() || info.Mode() != 0o444 || !info.ModTime().Equal(parse("2026-01-02T03:04:05Z")) || info.Sys() != nil {
		t.Errorf("T157: %+v", info)
	}
}

func TestBadFileArguments(t *testing.T) {
	t.Parallel()
	sb := dataplane(t, func(http.ResponseWriter, *http.Request) { t.Error("something was sent") })
	ctx := t.Context()
	download := func(o sandboxclient.DownloadOptions) error {
		_, err := sb.Download(ctx, "/f", &o)
		return err
	}
	glob := func(dir, pattern string, limit int) error {
		_, err := sb.Glob(ctx, dir, pattern, &sandboxclient.GlobOptions{Limit: limit})
		return err
	}
	_, statErr := sb.Stat(ctx, "")
	_, grepErr := sb.Grep(ctx, "/", "", nil)
	_, fsErr := sb.FS(ctx, "app").Open("f")
	for name, err := range map[string]error{
		"T164 last 0":            download(sandboxclient.DownloadOptions{Range: sandboxclient.RangeLast(0)}),
		"T164 start -1":          download(sandboxclient.DownloadOptions{Range: sandboxclient.RangeFrom(-1)}),
		"T164 end before start":  download(sandboxclient.DownloadOptions{Range: sandboxclient.RangePart(5, -2)}),
		"T164 nothing":           download(sandboxclient.DownloadOptions{Range: sandboxclient.RangePart(5, 0)}),
		"too far":                download(sandboxclient.DownloadOptions{Range: sandboxclient.RangePart(1<<62, 1<<62)}),
		"no quotes":              download(sandboxclient.DownloadOptions{IfRange: "v1"}),
		"a line end":             download(sandboxclient.DownloadOptions{IfNoneMatch: "\"v\r\n1\""}),
		"stat":                   statErr,
		"relative directory":     glob("app", "*", 0),
		"no directory":           glob("", "*", 0),
		"no pattern":             glob("/", "", 0),
		"zero byte":              glob("/\x00", "*", 0),
		"negative limit":         glob("/", "*", -1),
		"no text":                grepErr,
		"relative FS":            fsErr,
		"no path to make":        sb.MkdirAll(ctx, ""),
		"zero byte to remove":    sb.Remove(ctx, "a\x00b"),
		"no path to rename to":   sb.Rename(ctx, "a", ""),
		"no reader":              sb.Upload(ctx, "/f", nil),
		"nothing to remove":      sb.RemoveAll(ctx, ""),
		"no path to rename from": sb.Rename(ctx, "", "b"),
	} {
		if _, isPath := errors.AsType[*fs.PathError](err); !errors.Is(err, sandboxclient.ErrInvalid) || !isPath {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSearchVectors(t *testing.T) {
	t.Parallel()
	var path, body string
	answer := ""
	sb := dataplane(t, func(w http.ResponseWriter, r *http.Request) {
		var b bytes.Buffer
		var sent any
		if _, err := b.ReadFrom(r.Body); err != nil || json.Unmarshal(b.Bytes(), &sent) != nil {
			t.Errorf("body %q, %v", &b, err)
		}
		text, _ := json.Marshal(sent) // with sorted members
		path, body = r.URL.Path, string(text)
		_, _ = io.WriteString(w, answer)
	})
	answer = `{"matches":[{"path":"/app/a.py","is_dir":false,"size_bytes":7,"modified_at":"2026-01-02T03:04:05Z"},{"path":"/app/b.py","is_dir":false}],"truncated":true}`
	found, err := sb.Glob(t.Context(), "/app", "**/*.py", &sandboxclient.GlobOptions{Limit: 2})
	if err != nil || path != "/sb-1/glob" || body != `{"limit":2,"path":"/app","pattern":"**/*.py"}` || len(found.Matches) != 2 || !found.Truncated {
		t.Errorf("T165: %s %s: %+v, %v", path, body, found, err)
	}
	answer = `{"matches":[{"path":"/app/b","is_dir":true},{"path":"/app/a","is_dir":false,"size_bytes":7}]}`
	entries, err := sb.ReadDir(t.Context(), "/app")
	if err != nil || body != `{"path":"/app","pattern":"*"}` || len(entries) != 2 || entries[0].Name() != "a" || !entries[1].IsDir() {
		t.Errorf("T166: %s: %v, %v", body, entries, err)
	}
	answer = `{"matches":[{"path":"/app/a","is_dir":false}],"truncated":true}`
	if entries, err = sb.ReadDir(t.Context(), "/app"); len(entries) != 1 || !errors.Is(err, sandboxclient.ErrTooLarge) {
		t.Errorf("T166, truncated: %v, %v", entries, err)
	}
	answer = `{"matches":[{"path":"/app/a.go","line":1,"text":"// TODO"}],"truncated":false}`
	lines, err := sb.Grep(t.Context(), "/app", "TODO", &sandboxclient.GrepOptions{Glob: "*.go"})
	want := &sandboxclient.GrepResult{Matches: []sandboxclient.GrepMatch{{Path: "/app/a.go", Line: 1, Text: "// TODO"}}}
	if diff := cmp.Diff(want, lines); err != nil || path != "/sb-1/grep" || body != `{"glob":"*.go","path":"/app","pattern":"TODO"}` || diff != "" {
		t.Errorf("T167: %s %s: %v\n%s", path, body, err, diff)
	}
}

// TestUploadVectorInterrupted is T169.
func TestUploadVectorInterrupted(t *testing.T) {
	t.Parallel()
	requests := 0
	sb := dataplane(t, func(w http.ResponseWriter, _ *http.Request) {
		requests++
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	err := sb.Upload(t.Context(), "/f", io.MultiReader(strings.NewReader("content")))
	if !errors.Is(err, sandboxclient.ErrUnavailable) || requests != 1 {
		t.Errorf("T169: %d requests, %v", requests, err)
	}
}
