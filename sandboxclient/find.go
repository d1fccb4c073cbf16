package sandboxclient

import (
	"context"
	"io/fs"
	"net/http"
	"path"
	"slices"
	"strings"

	"github.com/langsandbox/sandbox-go/gen"
	"github.com/langsandbox/sandbox-go/internal/transport"
)

// GlobOptions bounds a search for names. A nil pointer is the zero value.
type GlobOptions struct {
	// Limit is how many matches to return at most; 0 is as many as the server
	// does.
	Limit int
}

// GrepOptions narrows a search for text. A nil pointer is the zero value.
type GrepOptions struct {
	// Glob says which files to read, such as *.go; empty is all.
	Glob string
	// Limit is how many matches to return at most; 0 is as many as the server
	// does.
	Limit int
}

// Glob returns the files and directories below dir, an absolute path, whose
// paths relative to it match a pattern, in lexical order (POST /glob): ** is any
// number of directories, *, ? and [...] stay within one name. The result says
// if it is truncated. Errors are *fs.PathError.
func (s *Sandbox) Glob(ctx context.Context, dir, pattern string, opts *GlobOptions) (*GlobResult, error) {
	result, err := s.glob(ctx, dir, pattern, pointed(opts).Limit)
	if err != nil {
		return nil, &fs.PathError{Op: "glob", Path: dir, Err: err}
	}
	return result, nil
}

func (s *Sandbox) glob(ctx context.Context, dir, pattern string, limit int) (*GlobResult, error) {
	op := operation{name: "find files", rules: [][]rule{readRules, dataplane}}
	api, err := s.search(&op, dir, pattern, limit)
	if err != nil {
		return nil, err
	}
	return fetch[GlobResult](ctx, op, func(ctx context.Context) (*http.Response, error) {
		return api.Glob(ctx, gen.GlobRequest{Pattern: pattern, Path: dir, Limit: limit})
	})
}

// Grep returns the lines below dir, an absolute path, that hold a text,
// literally, in the order of paths and lines (POST /grep). The result says if it
// is truncated. Errors are *fs.PathError.
func (s *Sandbox) Grep(ctx context.Context, dir, text string, opts *GrepOptions) (*GrepResult, error) {
	o := pointed(opts)
	op := operation{name: "find text", rules: [][]rule{readRules, dataplane}}
	api, err := s.search(&op, dir, text, o.Limit)
	var result *GrepResult
	if err == nil {
		result, err = fetch[GrepResult](ctx, op, func(ctx context.Context) (*http.Response, error) {
			return api.Grep(ctx, gen.GrepRequest{Pattern: text, Path: dir, Glob: o.Glob, Limit: o.Limit})
		})
	}
	if err != nil {
		return nil, &fs.PathError{Op: "grep", Path: dir, Err: err}
	}
	return result, nil
}

// search checks what is common to searches. They change nothing, so that they
// may be repeated.
func (s *Sandbox) search(op *operation, dir, pattern string, limit int) (*gen.Client, error) {
	ck := checks{op: op.name}
	ck.required("directory", dir)
	if dir != "" && !path.IsAbs(dir) {
		ck.fail("directory", "is %q, not an absolute path", dir)
	}
	if pattern == "" {
		ck.fail("pattern", "is empty")
	}
	if strings.ContainsRune(dir+pattern, 0) {
		ck.fail("directory or pattern", "holds a zero byte")
	}
	ck.atLeastZero("limit", int64(limit))
	if ck.err != nil {
		return nil, ck.err
	}
	op.call.Repeat = transport.RepeatSafe
	return s.dataplane(op)
}

// ReadDir returns the members of a directory with an absolute path, sorted by
// name (POST /glob). A symbolic link is described by what it leads to. If the
// server does not tell them all, it returns those it told and an error that
// matches [ErrTooLarge]. Errors are *fs.PathError.
func (s *Sandbox) ReadDir(ctx context.Context, dir string) ([]fs.DirEntry, error) {
	result, err := s.glob(ctx, dir, "*", 0)
	if err != nil {
		return nil, &fs.PathError{Op: "readdir", Path: dir, Err: err}
	}
	entries := make([]fs.DirEntry, len(result.Matches))
	for i, m := range result.Matches {
		entries[i] = fs.FileInfoToDirEntry(matchInfo(m))
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	if result.Truncated {
		return entries, &fs.PathError{Op: "readdir", Path: dir, Err: ErrTooLarge}
	}
	return entries, nil
}
