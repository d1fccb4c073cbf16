package sandboxclient

import (
	"context"
	"errors"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/langsandbox/sandbox-go/gen"
)

// FileInfo describes a file or directory of a sandbox. It is an [fs.FileInfo].
type FileInfo struct {
	path      string
	size      int64
	dir       bool
	modified  time.Time
	etag      string
	mediaType string
}

// Path is the path that was asked for, or that the server told.
func (i *FileInfo) Path() string { return i.path }

// Name is the last element of the path.
func (i *FileInfo) Name() string { return path.Base(i.path) }

// Size is the size in bytes: 0 for directories, -1 where the server does not
// tell.
func (i *FileInfo) Size() int64 { return i.size }

// Mode tells directories from files. Of permissions the API says nothing: all
// may be read.
func (i *FileInfo) Mode() fs.FileMode {
	if i.dir {
		return fs.ModeDir | 0o555
	}
	return 0o444
}

// ModTime is when the file was changed; zero where the server does not tell.
// [Sandbox.Stat] of a file has it in whole seconds.
func (i *FileInfo) ModTime() time.Time { return i.modified }

// IsDir reports whether it is a directory.
func (i *FileInfo) IsDir() bool { return i.dir }

// Sys is nil.
func (i *FileInfo) Sys() any { return nil }

// ETag names the content, quotes included, for [DownloadOptions]; empty for
// directories, and where the server has none.
func (i *FileInfo) ETag() string { return i.etag }

// MediaType is the type of the content, such as text/plain, as the server has
// it; empty for directories.
func (i *FileInfo) MediaType() string { return i.mediaType }

// Stat describes a file (HEAD /download), or a directory with an absolute path
// (POST /glob in the one above). It follows symbolic links. Errors are
// *fs.PathError and match fs.ErrNotExist and fs.ErrPermission.
func (s *Sandbox) Stat(ctx context.Context, name string) (*FileInfo, error) {
	info, err := s.stat(ctx, name)
	if err != nil {
		return nil, &fs.PathError{Op: "stat", Path: name, Err: err}
	}
	return info, nil
}

// headRules: answers to HEAD have no code.
var headRules = []rule{{status: http.StatusBadRequest, kinds: kinds(ErrOperation), operation: "read"}}

func (s *Sandbox) stat(ctx context.Context, name string) (*FileInfo, error) {
	op := operation{name: "stat file", rules: [][]rule{readRules, headRules, dataplane}}
	if err := checkPath(op.name, name); err != nil {
		return nil, err
	}
	api, err := s.dataplane(&op)
	if err != nil {
		return nil, err
	}
	resp, err := op.request(ctx, func(ctx context.Context) (*http.Response, error) {
		return api.StatFile(ctx, &gen.StatFileParams{Path: name}, identity)
	})
	if err == nil {
		return fileInfo(name, resp), resp.Body.Close()
	}
	// A directory has no content to describe.
	refused := errors.Is(err, ErrOperation) || errors.Is(err, ErrServer)
	if !refused || !path.IsAbs(name) {
		return nil, err
	}
	if info, found := s.statByName(ctx, name); found {
		return info, nil
	}
	return nil, err
}

// statByName looks for a file in the directory above.
func (s *Sandbox) statByName(ctx context.Context, name string) (*FileInfo, bool) {
	dir, base := path.Split(path.Clean(name))
	pattern := "*"
	if base != "" {
		pattern = quotePattern(base)
	}
	result, err := s.glob(ctx, dir, pattern, 1)
	switch {
	case err != nil:
		return nil, false
	case base == "":
		return &FileInfo{path: name, dir: true}, true
	case len(result.Matches) != 1:
		return nil, false
	}
	info := matchInfo(result.Matches[0])
	info.path = name
	return info, true
}

// quotePattern is a pattern that matches one name.
func quotePattern(name string) string {
	return strings.NewReplacer("*", "[*]", "?", "[?]", "[", "[[]", `\`, `\\`).Replace(name)
}

func matchInfo(m gen.GlobMatch) *FileInfo {
	return &FileInfo{path: m.Path, dir: m.IsDir, size: m.SizeBytes, modified: m.ModifiedAt}
}

// fileInfo reads the headers of a download.
func fileInfo(name string, resp *http.Response) *FileInfo {
	info := &FileInfo{path: name, size: resp.ContentLength, etag: resp.Header.Get("ETag")}
	info.modified, _ = http.ParseTime(resp.Header.Get("Last-Modified"))
	info.mediaType, _, _ = mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if r, ok := contentRange(resp.Header.Get("Content-Range")); ok {
		info.size = r.total
	}
	return info
}

// placed is what a Content-Range says.
type placed struct {
	start, end int64 // end is exclusive
	total      int64 // or -1
}

// contentRange reads "bytes 10-13/100"; the total may be "*".
func contentRange(header string) (placed, bool) {
	rest, isBytes := strings.CutPrefix(header, "bytes ")
	span, total, hasTotal := strings.Cut(rest, "/")
	first, last, hasEnd := strings.Cut(span, "-")
	if !isBytes || !hasTotal || !hasEnd {
		return placed{}, false
	}
	start, err := strconv.ParseUint(first, 10, 63)
	if err != nil {
		return placed{}, false
	}
	end, err := strconv.ParseUint(last, 10, 62)
	if err != nil || end < start {
		return placed{}, false
	}
	r := placed{start: int64(start), end: int64(end) + 1, total: -1}
	if total == "*" {
		return r, true
	}
	size, err := strconv.ParseUint(total, 10, 63)
	r.total = int64(size)
	return r, err == nil && r.total >= r.end
}
