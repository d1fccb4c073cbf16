package pathglob

import (
	"path"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestPattern(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]struct{ yes, no []string }{
		"*":          {[]string{"a", ".a", "a.b"}, []string{"a/b"}},
		"*.go":       {[]string{"a.go", ".go"}, []string{"a", "b/a.go"}},
		"**/*.go":    {[]string{"a.go", "b/a.go", "c/b/a.go"}, []string{"a.go/x", "b/a"}},
		"**":         {[]string{"a", "a/b"}, nil},
		"a/**":       {[]string{"a/b", "a/b/c"}, []string{"b", "b/a"}},
		"a/**/b":     {[]string{"a/b", "a/x/b", "a/x/y/b", "a/b/b"}, []string{"b", "a", "a/b/c"}},
		"**/**/a":    {[]string{"a", "x/a", "x/y/a"}, []string{"a/x"}},
		"?[a-c]":     {[]string{"xa", "üb"}, []string{"a", "xd"}},
		"[!a]":       {[]string{"b", "ü"}, []string{"a"}},
		"[[!]":       {[]string{"[", "!"}, []string{"a", "^"}},
		`\[!a`:       {[]string{"[!a"}, []string{"[^a"}},
		"[!!]":       {[]string{"a"}, []string{"!"}},
		"[a!]":       {[]string{"a", "!"}, []string{"^"}},
		`[\][!]`:     {[]string{"]", "[", "!"}, []string{"^"}},
		"x[[!]*[!b]": {[]string{"x!a", "x[c"}, []string{"x!b", "x^a"}},
		`\*`:         {[]string{"*"}, []string{"a"}},
		"**x":        {[]string{"x", "ax"}, []string{"a/x"}},
		"**/a/**/a*": {[]string{"a/a", "x/a/y/ab"}, []string{"a", "x/ab"}},
	} {
		p, err := Parse(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		for _, name := range want.yes {
			if !p.Match(name) {
				t.Errorf("%s does not match %s", text, name)
			}
		}
		for _, name := range want.no {
			if p.Match(name) {
				t.Errorf("%s matches %s", text, name)
			}
		}
	}
	for _, text := range []string{"", "/a", "a/", "a//b", "./a", "a/../b", "[", "a/[b", `a\`, "[]a]"} {
		if _, err := Parse(text); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}

// TestPatternTakesNoLong: a pattern made to take for ever does not.
func TestPatternTakesNoLong(t *testing.T) {
	t.Parallel()
	start := time.Now()
	p, err := Parse(strings.Repeat("**/a*/", 300) + strings.Repeat("*a", 200) + "b")
	if err != nil {
		t.Fatal(err)
	}
	if p.Match(strings.TrimSuffix(strings.Repeat(strings.Repeat("a", 200)+"/", 500), "/")) {
		t.Error("matches")
	}
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("took %v", took)
	}
}

// matchSlowly is what a pattern means, said plainly.
func matchSlowly(parts, names []string) bool {
	switch {
	case len(parts) == 0:
		return len(names) == 0
	case parts[0] == AnyDepth:
		return matchSlowly(parts[1:], names) || len(names) > 0 && matchSlowly(parts, names[1:])
	case len(names) == 0:
		return false
	}
	ok, _ := path.Match(parts[0], names[0])
	return ok && matchSlowly(parts[1:], names[1:])
}

func FuzzPattern(f *testing.F) {
	f.Add("**/a*/**/b", "x/ab/c/b")
	f.Add("[!a]/?", "b/c")
	f.Fuzz(func(t *testing.T, text, name string) {
		if len(text) > 40 || len(name) > 40 {
			return
		}
		p, err := Parse(text)
		if err != nil {
			return
		}
		if got, want := p.Match(name), matchSlowly(p, strings.Split(name, "/")); got != want {
			t.Errorf("%q matches %q: %v, want %v", text, name, got, want)
		}
		for at := p.Start(); ; {
			if !slices.IsSorted(at) || len(at) > len(p)+1 {
				t.Fatalf("places %v", at)
			}
			var part string
			var more bool
			part, name, more = strings.Cut(name, "/")
			at = p.Enter(at, part)
			if !more {
				break
			}
		}
	})
}
