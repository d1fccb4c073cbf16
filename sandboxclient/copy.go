package sandboxclient

import (
	"errors"
	"path"
	"slices"
	"strings"

	"github.com/langsandbox/sandbox-go/internal/pathglob"
)

// CopyOptions says what of a tree to copy. A nil pointer is the zero value.
type CopyOptions struct {
	// Include are patterns of what to copy; none is all. Exclude are patterns
	// of what not to copy, and wins. They are those of [Sandbox.Glob], relative
	// to the tree; one without a slash matches in every directory. With a
	// directory goes all below it.
	Include, Exclude []string
	// MaxBytes bounds the content of all files together; 0 is no bound. More
	// is [ErrTooLarge].
	MaxBytes int64
	// Progress is told of each file, when it is begun, every megabyte and when
	// it is done, from the calling goroutine; nil is nobody.
	Progress func(CopyProgress)
}

// CopyProgress is how far a copy has come.
type CopyProgress struct {
	Path  string // of the file being copied, relative to the tree
	Files int    // copied; directories and links do not count
	Bytes int64  // of content
}

// selection is what a copy takes.
type selection struct{ include, exclude []pathglob.Pattern }

func (o CopyOptions) selection(ck *checks) selection {
	parse := func(argument string, texts []string) (all []pathglob.Pattern) {
		for _, text := range texts {
			full := text
			if !strings.Contains(text, "/") {
				full = pathglob.AnyDepth + "/" + text
			}
			p, err := pathglob.Parse(full)
			if err != nil {
				ck.fail(argument, "has %q, which %v", text, err)
			}
			all = append(all, p)
		}
		return all
	}
	ck.atLeastZero("MaxBytes", o.MaxBytes)
	return selection{parse("Include", o.Include), parse("Exclude", o.Exclude)}
}

func matchAny(patterns []pathglob.Pattern, name string) bool {
	return slices.ContainsFunc(patterns, func(p pathglob.Pattern) bool { return p.Match(name) })
}

// excludes reports whether a path, with all below it, is not taken.
func (s selection) excludes(name string) bool { return matchAny(s.exclude, name) }

// takes reports whether a path is taken, by itself or with a directory above.
func (s selection) takes(name string) bool {
	included := len(s.include) == 0
	for at := name; at != "."; at = path.Dir(at) {
		if s.excludes(at) {
			return false
		}
		included = included || matchAny(s.include, at)
	}
	return included
}

// meter counts what is copied.
type meter struct {
	opts CopyOptions
	now  CopyProgress
	told int64
}

// progressStep is how much of a file is copied without a word.
const progressStep = 1 << 20

var errBound = errors.New("the files have more content than MaxBytes")

func (m *meter) begin(name string) {
	m.now.Path = name
	m.tell()
}

// Write counts content.
func (m *meter) Write(p []byte) (int, error) {
	m.now.Bytes += int64(len(p))
	if m.opts.MaxBytes > 0 && m.now.Bytes > m.opts.MaxBytes {
		return 0, &APIError{Op: "copy", Message: errBound.Error(), kinds: kinds(ErrTooLarge)}
	}
	if m.now.Bytes-m.told >= progressStep {
		m.tell()
	}
	return len(p), nil
}

func (m *meter) done() {
	m.now.Files++
	m.tell()
}

func (m *meter) tell() {
	m.told = m.now.Bytes
	if m.opts.Progress != nil {
		m.opts.Progress(m.now)
	}
}

// treePath is a directory for a script: a relative one is no option, and none
// that cd looks up elsewhere.
func treePath(dir string) string {
	if path.IsAbs(dir) || dir == "" {
		return dir
	}
	return "./" + dir
}
