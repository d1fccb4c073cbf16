package sandboxserver

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path"
	"strings"
	"syscall"

	"github.com/langsandbox/sandbox-go/gen"
	"github.com/langsandbox/sandbox-go/internal/pathglob"
	"github.com/langsandbox/sandbox-go/internal/runtime"
)

const (
	// defaultLines is how many lines are sent if the request does not say.
	defaultLines = 1000
	// maxLine is how much of a line is sent.
	maxLine = 2 << 10
	// sniffed is how much of a file is looked at to see whether it is text.
	sniffed = 8 << 10
)

// grep answers with the lines that hold a text.
func (s *Server) grep(v visit, w http.ResponseWriter, r *http.Request) error {
	var q gen.GrepRequest
	if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
		return undecodable(err)
	}
	if strings.ContainsAny(q.Pattern, "\n\x00") {
		return invalid("pattern must be within one line of text", "pattern")
	}
	if err := checkSearch(q.Path); err != nil {
		return err
	}
	files, err := fileFilter(q.Glob)
	if err != nil {
		return invalid("glob "+err.Error(), "glob")
	}
	g := &grepper{walk: newWalk(v.sb, q.Limit, defaultLines), needle: []byte(q.Pattern), scanned: maxScanned, matches: []gen.GrepMatch{}}
	if err := g.search(r.Context(), path.Clean(q.Path), files); err != nil && !errors.Is(err, errCut) {
		return fileProblem(codeRead, q.Path, err)
	}
	writeJSON(w, http.StatusOK, gen.GrepResult{Matches: g.matches, Truncated: g.cut})
	return nil
}

// fileFilter is the pattern of files to read.
func fileFilter(glob string) (pathglob.Pattern, error) {
	switch {
	case glob == "":
		return pathglob.Pattern{pathglob.AnyDepth}, nil
	case !strings.Contains(glob, "/"):
		glob = pathglob.AnyDepth + "/" + glob
	}
	return pathglob.Parse(glob)
}

// grepper looks for a text.
type grepper struct {
	*walk
	needle  []byte
	scanned int64 // bytes still to be read at most
	matches []gen.GrepMatch
	lines   *bufio.Reader
}

func (g *grepper) search(ctx context.Context, dir string, files pathglob.Pattern) error {
	err := g.below(ctx, dir, files.Start(), func(full string, e runtime.Entry, at pathglob.Places) (pathglob.Places, error) {
		next := files.Enter(at, e.Name)
		if e.Type.IsRegular() && files.Matched(next) {
			if err := g.file(ctx, full); err != nil && !skippable(err) {
				return nil, err
			}
		}
		if !files.Open(next) {
			return nil, nil
		}
		return next, nil
	})
	if errors.Is(err, syscall.ENOTDIR) {
		return g.file(ctx, dir)
	}
	return err
}

// file looks through one file, as long as it was when it was opened.
func (g *grepper) file(ctx context.Context, name string) error {
	file, err := g.sb.OpenFile(ctx, name, os.O_RDONLY, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if info.Size() > g.scanned {
		g.cut = true
		return errCut
	}
	g.scanned -= info.Size()
	if g.lines == nil {
		g.lines = bufio.NewReaderSize(nil, 64<<10)
	}
	g.lines.Reset(contextReader{ctx, io.LimitReader(file, info.Size())})
	head, _ := g.lines.Peek(sniffed)
	if bytes.IndexByte(head, 0) >= 0 {
		return nil
	}
	for number := 1; ; number++ {
		text, found, err := g.line()
		if found {
			m := gen.GrepMatch{Path: name, Line: number, Text: strings.ToValidUTF8(string(text), "\uFFFD")}
			if err := g.take(len(m.Path) + len(m.Text)); err != nil {
				return err
			}
			g.matches = append(g.matches, m)
		}
		if err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
	}
}

// line reads a line, of any length, and returns its beginning and whether it
// holds the text.
func (g *grepper) line() (text []byte, found bool, err error) {
	frag, err := g.lines.ReadSlice('\n')
	if !errors.Is(err, bufio.ErrBufferFull) {
		frag = bytes.TrimSuffix(bytes.TrimSuffix(frag, []byte("\n")), []byte("\r"))
		return frag[:min(len(frag), maxLine)], bytes.Contains(frag, g.needle), err
	}
	text = bytes.Clone(frag[:maxLine])
	var seam []byte // the end of what came before, which may begin a match
	for {
		seam = append(seam, frag...)
		found = found || bytes.Contains(seam, g.needle)
		if !errors.Is(err, bufio.ErrBufferFull) {
			return text, found, err
		}
		seam = append(seam[:0], seam[max(0, len(seam)-len(g.needle)+1):]...)
		frag, err = g.lines.ReadSlice('\n')
	}
}

// contextReader fails when its context ends.
type contextReader struct {
	ctx context.Context //nolint:containedctx // of the one who reads
	r   io.Reader
}

func (c contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}
