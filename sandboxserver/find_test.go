//go:build unix

package sandboxserver

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/langsandbox/sandbox-go/gen"
)

func (b *bench) post(s gen.Sandbox, op string, body map[string]any) answer {
	b.t.Helper()
	return b.do(request("POST", dataplane(s)+"/"+op, body))
}

func paths(result gen.GlobResult) string {
	var all []string
	for _, m := range result.Matches {
		all = append(all, m.Path)
	}
	return strings.Join(all, " ")
}

func TestGlob(t *testing.T) {
	t.Parallel()
	eachIsolation(t, func(b *bench) {
		s := b.box(map[string]any{})
		for _, name := range []string{"a/x.go", "a/y.txt", "a-b", "a/.hidden", "b/c/z.go", "b/c.go"} {
			if a := b.upload(s, "/app/src/"+name, name); a.status != 200 {
				b.t.Fatal(a)
			}
		}
		b.upload(s, "marker", "")
		home := strings.TrimSpace(b.run(s, "pwd").Stdout)
		b.run(s, `cd "$HOME" && mkdir -p links/d/e && echo 12345 > links/f && ln -s f links/file && ln -s d links/dir &&
			ln -s nowhere links/none && ln -s .. links/d/up && ln -s . links/d/e/loop && mkfifo links/pipe && mkdir links/closed && touch links/closed/x`)
		for _, c := range []struct {
			pattern string
			want    string
		}{
			{"*", "a a-b b"},
			{"**", "a a-b a/.hidden a/x.go a/y.txt b b/c b/c.go b/c/z.go"},
			{"**/*.go", "a/x.go b/c.go b/c/z.go"},
			{"a/*", "a/.hidden a/x.go a/y.txt"},
			{"none/*", ""},
		} {
			var want string
			if c.want != "" {
				want = "/app/src/" + strings.ReplaceAll(c.want, " ", " /app/src/")
			}
			got := decode[gen.GlobResult](b.t, b.post(s, "glob", map[string]any{"pattern": c.pattern, "path": "/app/src/"}))
			if paths(got) != want || got.Truncated {
				b.t.Errorf("%s: %s, want %s", c.pattern, paths(got), want)
			}
		}
		cut := decode[gen.GlobResult](b.t, b.post(s, "glob", map[string]any{"pattern": "**/*.go", "path": "/app", "limit": 2}))
		if paths(cut) != "/app/src/a/x.go /app/src/b/c.go" || !cut.Truncated || cut.Matches[0].SizeBytes != 6 || cut.Matches[0].ModifiedAt.IsZero() {
			b.t.Errorf("%+v", cut)
		}
		if all := decode[gen.GlobResult](b.t, b.post(s, "glob", map[string]any{"pattern": "**/*.go", "path": "/app", "limit": 3})); all.Truncated {
			b.t.Errorf("%+v", all)
		}
		links := decode[gen.GlobResult](b.t, b.post(s, "glob", map[string]any{"pattern": "**", "path": home + "/links"}))
		var got []string
		for _, m := range links.Matches {
			got = append(got, fmt.Sprint(strings.TrimPrefix(m.Path, home+"/links/"), " ", m.IsDir, " ", !m.IsDir && m.SizeBytes == 6))
		}
		want := []string{
			"closed true false", "closed/x false false", "d true false", "d/e true false", "d/e/loop true false", "d/up true false",
			"dir true false", "f false true", "file false true", "none false false", "pipe false false",
		}
		if b.server.Isolation() == IsolationOCI {
			want = want[:len(want)-1] // pipes are the sandbox's own kernel's
		}
		if diff := cmp.Diff(want, got); diff != "" {
			b.t.Errorf("links (-want +got):\n%s", diff)
		}
		if sub := decode[gen.GlobResult](b.t, b.post(s, "glob", map[string]any{"pattern": "*", "path": home + "/links/dir"})); paths(sub) != home+"/links/dir/e "+home+"/links/dir/up" {
			b.t.Errorf("%+v", sub)
		}
		b.refused(b.post(s, "glob", map[string]any{"pattern": "*", "path": "/app/none"}), 404, codeFileNotFound, "/app/none")
		b.refused(b.post(s, "glob", map[string]any{"pattern": "*", "path": "/app/src/a-b"}), 400, codeRead, "not a directory")
		for _, bad := range []map[string]any{
			{"pattern": "*"},
			{"path": "/"},
			{"pattern": "", "path": "/"},
			{"pattern": "*", "path": "app"},
			{"pattern": "[", "path": "/"},
			{"pattern": "../*", "path": "/app"},
			{"pattern": "*", "path": "/", "limit": 0},
			{"pattern": "*", "path": "/a\x00"},
		} {
			b.refused(b.post(s, "glob", bad), 422, "")
		}
		b.refused(b.do(request("GET", dataplane(s)+"/glob", nil)), 405, codeMethodNotAllowed)
	})
}

// TestGlobStaysInside: what a path leads to is what commands find there, and
// never a file of the host.
func TestGlobStaysInside(t *testing.T) {
	t.Parallel()
	eachIsolation(t, func(b *bench) {
		s := b.box(map[string]any{})
		host := t.TempDir()
		b.upload(s, "marker", "")
		home := strings.TrimSpace(b.run(s, fmt.Sprintf("ln -s %s out; pwd", host)).Stdout)
		b.post(s, "glob", map[string]any{"pattern": "**", "path": home})
		if a := b.post(s, "glob", map[string]any{"pattern": "*", "path": home + "/out"}); a.status == 200 {
			b.t.Errorf("a directory of the host is listed: %+v", a)
		}
	})
}

func TestGrep(t *testing.T) {
	t.Parallel()
	eachIsolation(t, func(b *bench) {
		s := b.box(map[string]any{})
		long := strings.Repeat("x", 65530) + "NEEDLE" + strings.Repeat("y", 100_000)
		for name, content := range map[string]string{
			"a.go":     "one TODO\nnothing\r\nTODO: two (.*)\r\nlast TODO",
			"b/b.go":   "// TODO",
			"b/c.txt":  "TODO\n",
			"binary":   "\x00TODO\n",
			"empty":    "",
			"long.txt": "first\n" + long + "\nTODO after\n",
			"raw":      "caf\xe9 TODO\n",
		} {
			if a := b.upload(s, "/app/"+name, content); a.status != 200 {
				b.t.Fatal(a)
			}
		}
		grep := func(body map[string]any) gen.GrepResult {
			return decode[gen.GrepResult](b.t, b.post(s, "grep", body))
		}
		show := func(r gen.GrepResult) string {
			var all []string
			for _, m := range r.Matches {
				all = append(all, fmt.Sprintf("%s:%d:%s", strings.TrimPrefix(m.Path, "/app/"), m.Line, m.Text))
			}
			return strings.Join(all, "|")
		}
		for _, c := range []struct {
			body map[string]any
			want string
		}{
			{map[string]any{"pattern": "TODO", "path": "/app", "glob": "*.go"}, "a.go:1:one TODO|a.go:3:TODO: two (.*)|a.go:4:last TODO|b/b.go:1:// TODO"},
			{map[string]any{"pattern": "TODO", "path": "/app", "glob": "b/*"}, "b/b.go:1:// TODO|b/c.txt:1:TODO"},
			{map[string]any{"pattern": "(.*)", "path": "/app"}, "a.go:3:TODO: two (.*)"},
			{map[string]any{"pattern": "TODO after", "path": "/app"}, "long.txt:3:TODO after"},
			{map[string]any{"pattern": "nothing", "path": "/app"}, "a.go:2:nothing"},
			{map[string]any{"pattern": "caf", "path": "/app/"}, "raw:1:caf\uFFFD TODO"},
			{map[string]any{"pattern": "two", "path": "/app/a.go"}, "a.go:3:TODO: two (.*)"},
			{map[string]any{"pattern": "absent", "path": "/app"}, ""},
		} {
			if got := grep(c.body); show(got) != c.want || got.Truncated {
				b.t.Errorf("%v: %s, want %s", c.body, show(got), c.want)
			}
		}
		if got := grep(map[string]any{"pattern": "NEEDLE", "path": "/app"}); len(got.Matches) != 1 || got.Matches[0].Line != 2 || got.Matches[0].Text != strings.Repeat("x", maxLine) {
			b.t.Errorf("%.200s", show(got))
		}
		if got := grep(map[string]any{"pattern": "TODO", "path": "/app", "limit": 2}); len(got.Matches) != 2 || !got.Truncated {
			b.t.Errorf("%+v", got)
		}
		b.refused(b.post(s, "grep", map[string]any{"pattern": "x", "path": "/none"}), 404, codeFileNotFound)
		for _, bad := range []map[string]any{
			{"pattern": "", "path": "/"}, {"pattern": "a\nb", "path": "/"}, {"pattern": "a", "path": "x"}, {"pattern": "a", "path": "/", "glob": "["},
		} {
			b.refused(b.post(s, "grep", bad), 422, "")
		}
	})
}

// TestSearchOfManyFiles: results are bounded, however much there is.
func TestSearchOfManyFiles(t *testing.T) {
	t.Parallel()
	eachIsolation(t, func(b *bench) {
		s := b.box(map[string]any{})
		b.upload(s, "many/marker", "")
		home := strings.TrimSpace(b.run(s, `cd many && seq 1500 | xargs touch && yes word | head -n 5000 > text && cd .. && pwd`).Stdout)
		found := decode[gen.GlobResult](b.t, b.post(s, "glob", map[string]any{"pattern": "**", "path": home + "/many", "limit": 1400}))
		if len(found.Matches) != 1400 || !found.Truncated {
			b.t.Errorf("%d matches, truncated %v", len(found.Matches), found.Truncated)
		}
		lines := decode[gen.GrepResult](b.t, b.post(s, "grep", map[string]any{"pattern": "word", "path": home + "/many"}))
		if len(lines.Matches) != defaultLines || !lines.Truncated {
			b.t.Errorf("%d matches, truncated %v", len(lines.Matches), lines.Truncated)
		}
	})
}
