package sandboxserver

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"path"
	"strings"

	"github.com/langsandbox/sandbox-go/gen"
	"github.com/langsandbox/sandbox-go/internal/pathglob"
	"github.com/langsandbox/sandbox-go/internal/runtime"
)

// defaultMatches is how many files are named if the request does not say.
const defaultMatches = 10_000

// glob answers with the files whose paths match a pattern.
func (s *Server) glob(v visit, w http.ResponseWriter, r *http.Request) error {
	var q gen.GlobRequest
	if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
		return undecodable(err)
	}
	p, err := pathglob.Parse(q.Pattern)
	if err != nil {
		return invalid("pattern "+err.Error(), "pattern")
	}
	if err := checkSearch(q.Path); err != nil {
		return err
	}
	result, err := globIn(r.Context(), v.sb, p, q)
	if err != nil {
		return fileProblem(codeRead, q.Path, err)
	}
	writeJSON(w, http.StatusOK, result)
	return nil
}

func checkSearch(dir string) error {
	if strings.ContainsRune(dir, 0) {
		return invalid("path must not hold a zero byte", "path")
	}
	return nil
}

func globIn(ctx context.Context, sb runtime.Sandbox, p pathglob.Pattern, q gen.GlobRequest) (gen.GlobResult, error) {
	result := gen.GlobResult{Matches: []gen.GlobMatch{}}
	walk := newWalk(sb, q.Limit, defaultMatches)
	err := walk.below(ctx, path.Clean(q.Path), p.Start(), func(full string, e runtime.Entry, at pathglob.Places) (pathglob.Places, error) {
		next := p.Enter(at, e.Name)
		if p.Matched(next) {
			if err := walk.take(len(full)); err != nil {
				return nil, err
			}
			result.Matches = append(result.Matches, walk.match(ctx, full, e))
		}
		if !p.Open(next) {
			return nil, nil
		}
		return next, nil
	})
	if errors.Is(err, errCut) {
		err = nil
	}
	result.Truncated = walk.cut
	return result, err
}

// match describes a file, and a link by what it leads to.
func (w *walk) match(ctx context.Context, full string, e runtime.Entry) gen.GlobMatch {
	if e.Type == fs.ModeSymlink {
		e = w.describe(ctx, path.Dir(full), e)
	}
	m := gen.GlobMatch{Path: full, IsDir: e.Type.IsDir(), ModifiedAt: e.Modified.UTC()}
	if !m.IsDir {
		m.SizeBytes = e.Size
	}
	return m
}
