package dockerignore_test

import (
	"path"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/langsandbox/sandbox-go/internal/dockerignore"
)

func TestLeavesOut(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		file      string
		out, kept string // paths, separated by blanks
	}{
		{"", "", "a a/b"},
		{"# a\n\n  \n", "", "a #"},
		{" #a", "#a", "a"},
		{"a", "a a/b a/b/c", "b/a aa"},
		{"/a/", "a a/b", "b/a"},
		{"./a/../b", "b", "a"},
		{"a/b", "a/b a/b/c", "a b"},
		{"*.log", "x.log .log", "a/x.log x.log2"},
		{"**/*.log", "x.log a/x.log a/b/x.log", "x.txt"},
		{"a/**", "a/b a/b/c", "a b/a"},
		{"**", "a a/b", ""},
		{"a/**/z", "a/z a/b/z a/b/c/z", "z a/zz"},
		{"a**z", "az a/b/z", "a"},
		{"a?c", "abc", "ac a/c"},
		{"[a-c]x", "ax cx", "dx"},
		{"[^a]x", "bx", "ax"},
		{`\*`, "*", "a"},
		{`[\]a]`, "] a", "b"},
		{"a.b", "a.b", "axb"},
		{"*\n!keep", "a b/keep", "keep keep/a"},
		{"a\n!a/b", "a a/c", "a/b a/b/c"},
		{"!a\na", "a", "b"},
		{"a\n!a\na/b", "a/b", "a a/c"},
		{"\ufeffa", "a", "b"},
		{"a\r\nb", "a b", "c"},
		{".", "", "a"},
		{"/", "", "a"},
		{"ü?", "üx üö", "ü"},
	} {
		rules, err := dockerignore.Parse(strings.NewReader(tt.file))
		if err != nil {
			t.Errorf("%q: %v", tt.file, err)
			continue
		}
		for name := range strings.FieldsSeq(tt.out) {
			if !rules.LeavesOut(name) {
				t.Errorf("%q does not leave %s out", tt.file, name)
			}
		}
		for name := range strings.FieldsSeq(tt.kept) {
			if rules.LeavesOut(name) {
				t.Errorf("%q leaves %s out", tt.file, name)
			}
		}
		if rules.Below() != strings.Contains(tt.file, "!") {
			t.Errorf("%q: below: %t", tt.file, rules.Below())
		}
	}
}

func TestBadPatterns(t *testing.T) {
	t.Parallel()
	for file, want := range map[string]string{
		"a\n[":                   "line 2",
		"[]":                     "does not end",
		"[a":                     "does not end",
		"[z-a]":                  "cannot be understood",
		`a\`:                     "backslash",
		"[a-":                    "dash",
		"!":                      "exclamation mark",
		strings.Repeat("a", 1e5): "too long",
	} {
		if _, err := dockerignore.Parse(strings.NewReader(file)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20q: %v, want %s", file, err, want)
		}
	}
}

// A file of one pattern without ** means what path.Match says of the path or a
// directory above it.
func FuzzParse(f *testing.F) {
	f.Add("a/**/b\n!a/x\n[^a-b]?\\*", "a/x/b")
	f.Add("**/**/**/*a*a*a", "aaaa/aaaa")
	f.Add("[a-c]?\\[*", "ab[d/e")
	f.Fuzz(func(t *testing.T, file, name string) {
		rules, err := dockerignore.Parse(strings.NewReader(file))
		if err != nil {
			return
		}
		out := rules.LeavesOut(name)
		pattern := path.Clean(strings.TrimSpace(file))
		if strings.ContainsAny(file, "\n\r!#/") || strings.Contains(file, "**") || !utf8.ValidString(file) || !utf8.ValidString(name) ||
			strings.HasPrefix(file, "\ufeff") || pattern == "." {
			return
		}
		want := false
		for at := name; at != "." && at != "/"; at = path.Dir(at) {
			matched, err := path.Match(pattern, at)
			if err != nil {
				t.Fatalf("%q is understood, but is %v", file, err)
			}
			want = want || matched
		}
		if out != want {
			t.Errorf("%q leaves %q out: %t", file, name, out)
		}
	})
}
