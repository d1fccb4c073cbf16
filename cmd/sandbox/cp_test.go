package main

import (
	"bytes"
	"errors"
	"io"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/langsandbox/sandbox-go/sandboxclient"
	"github.com/langsandbox/sandbox-go/sandboxserver"
)

// copier runs sandbox cp against a server of its own.
type copier struct {
	t       *testing.T
	sb      *sandboxclient.Sandbox
	home    string
	env     []string
	dir     string // working directory of the command
	in      string
	out     string
	message string
}

func newCopier(t *testing.T) *copier {
	t.Helper()
	server, err := sandboxserver.New(sandboxserver.Config{MinIsolation: sandboxserver.IsolationProcess})
	if err != nil {
		t.Skip("no sandboxes here: ", err)
	}
	listener := httptest.NewServer(server)
	t.Cleanup(func() {
		listener.Close()
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	c, err := sandboxclient.New(sandboxclient.WithEndpoint(listener.URL+"/v2/sandboxes"), sandboxclient.WithAPIKey(server.APIKey()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	sb, err := c.Create(t.Context(), &sandboxclient.CreateSandbox{Name: "box"})
	if err != nil {
		t.Fatal(err)
	}
	res, err := sb.Execute(t.Context(), "pwd", nil)
	if err != nil {
		t.Fatal(err)
	}
	return &copier{
		t: t, sb: sb, home: strings.TrimSpace(res.Stdout), dir: t.TempDir(),
		env: []string{"LANGSMITH_ENDPOINT=" + listener.URL, "LANGSMITH_API_KEY=" + server.APIKey()},
	}
}

// cp runs the command and returns its exit code.
func (c *copier) cp(args ...string) int {
	c.t.Helper()
	cmd, temp := command(c.t, append([]string{"cp"}, args...)...)
	defer mustBeEmpty(c.t, temp)
	cmd.Env = append(cmd.Env, c.env...)
	cmd.Dir = c.dir
	var out, message bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(c.in), &out, &message
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		c.t.Fatal(err)
	}
	c.out, c.message = out.String(), message.String()
	return cmd.ProcessState.ExitCode()
}

func (c *copier) must(args ...string) {
	c.t.Helper()
	if code := c.cp(args...); code != 0 || c.message != "" {
		c.t.Fatalf("cp %q: exit code %d: %s", args, code, c.message)
	}
}

// local writes a file for the command to find.
func (c *copier) local(name, content string, mode os.FileMode) {
	c.t.Helper()
	full := filepath.Join(c.dir, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(full), 0o755), os.WriteFile(full, []byte(content), mode), os.Chmod(full, mode)); err != nil {
		c.t.Fatal(err)
	}
}

func (c *copier) read(name string) string {
	c.t.Helper()
	data, err := os.ReadFile(filepath.Join(c.dir, name))
	if err != nil {
		c.t.Error(err)
	}
	return string(data)
}

func (c *copier) inside(script string) string {
	c.t.Helper()
	res, err := c.sb.Execute(c.t.Context(), script, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	return res.Stdout + res.Stderr
}

func TestCpFiles(t *testing.T) {
	t.Parallel()
	c := newCopier(t)
	c.local("run.sh", "echo hi\n", 0o755)
	c.local("a:b", "colon", 0o644)
	c.inside("mkdir dir")
	c.must("run.sh", "box:"+c.home+"/new/name.sh")
	c.must("run.sh", "box:"+c.home+"/dir")
	c.must("run.sh", "box:slash/")
	c.must("./a:b", "box:colon")
	if got := c.inside("new/name.sh; stat -c %a dir/run.sh slash/run.sh; cat colon"); got != "hi\n755\n755\ncolon" {
		t.Errorf("in: %q", got)
	}
	c.must("box:new/name.sh", "back")
	c.must("box:"+c.home+"/new/name.sh", ".")
	c.must("box:colon", "back") // over what was there
	if c.read("back") != "colon" || c.read("name.sh") != "echo hi\n" {
		t.Errorf("back: %q, %q", c.read("back"), c.read("name.sh"))
	}
	c.in = "from a pipe\x00\xff"
	c.must("-", "box:piped")
	c.must("box:piped", "-")
	if c.out != c.in {
		t.Errorf("through pipes: %q", c.out)
	}
	entries, err := os.ReadDir(c.dir)
	if err != nil || len(entries) != 4 {
		t.Errorf("left: %v, %v", entries, err)
	}
}

func TestCpTrees(t *testing.T) {
	t.Parallel()
	c := newCopier(t)
	c.local("tree/a.go", "a", 0o600)
	c.local("tree/sub/b.go", "b", 0o644)
	c.local("tree/sub/c.txt", "c", 0o644)
	c.local("tree/.git/x", "x", 0o644)
	c.must("--exclude", ".git", "tree", "box:"+c.home+"/there")
	c.must("--include", "*.go", "tree", "box:only-go")
	if got := c.inside("cd there && find . -type f | sort && cd ../only-go && find . -type f | sort && stat -c %a a.go"); got != "./a.go\n./sub/b.go\n./sub/c.txt\n./a.go\n./sub/b.go\n600\n" {
		t.Errorf("in: %q", got)
	}
	c.must("box:"+c.home+"/there", "back/again")
	c.must("--exclude", "sub", "box:there", "part")
	if c.read("back/again/sub/c.txt") != "c" || c.read("part/a.go") != "a" {
		t.Error("the tree did not come back")
	}
	if _, err := os.Stat(filepath.Join(c.dir, "part/sub")); !os.IsNotExist(err) {
		t.Errorf("what was left out came back: %v", err)
	}
	c.inside("ln -s /etc/passwd there/out")
	if code := c.cp("box:there", "unsafe"); code != exitFailed || !strings.Contains(c.message, "out") || c.read("unsafe/a.go") != "a" {
		t.Errorf("exit code %d: %s", code, c.message)
	}
}

func TestCpErrors(t *testing.T) {
	t.Parallel()
	c := newCopier(t)
	c.local("file", "x", 0o644)
	c.inside("mkdir dir; touch file")
	for _, tt := range []struct {
		args    []string
		message string
		offline bool // found out before anything is asked for
	}{
		{[]string{"file", "other"}, "one of the two must be in a sandbox", true},
		{[]string{"box:a", "box:b"}, "one of the two must be in a sandbox", true},
		{[]string{"none", "box:x"}, "none", true},
		{[]string{"box:file", ""}, "path is missing", true},
		{[]string{"file"}, "want {NAME:PATH", true},
		{[]string{"file", "nobody:x"}, "nobody", false},
		{[]string{"box:none", "x"}, "none", false},
		{[]string{"box:dir", "-"}, "directory", false},
		{[]string{"--include", "*", "box:file", "x"}, "--include", false},
		{[]string{"--include", "[", ".", "box:x"}, "[", false},
		{[]string{"-", "box:dir"}, "directory", false},
	} {
		if code := c.cp(tt.args...); code != exitFailed || !strings.Contains(c.message, tt.message) || c.out != "" {
			t.Errorf("%q: exit code %d: %s", tt.args, code, c.message)
		}
		if tt.offline {
			env := c.env
			c.env = []string{"LANGSMITH_ENDPOINT=http://127.0.0.1:1", "LANGSMITH_API_KEY=k"}
			if code := c.cp(tt.args...); code != exitFailed || !strings.Contains(c.message, tt.message) {
				t.Errorf("%q without a server: exit code %d: %s", tt.args, code, c.message)
			}
			c.env = env
		}
	}
	c.env = nil
	if code := c.cp("file", "box:x"); code != exitFailed || !strings.Contains(c.message, "no API key") {
		t.Errorf("without a key: exit code %d: %s", code, c.message)
	}
}

func TestParsePlace(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]place{
		"box:/a": {"box", "/a"}, "box:": {"box", "."}, "box:a:b": {"box", "a:b"}, "./a:b": {"", "./a:b"}, "/x:y": {"", "/x:y"},
		"a": {"", "a"}, ":a": {"", ":a"}, "-": {"", "-"}, "dir/a:b": {"", "dir/a:b"},
	} {
		if got := parsePlace(text); got != want {
			t.Errorf("%s is %+v", text, got)
		}
	}
}

func TestBarLine(t *testing.T) {
	t.Parallel()
	const width = 20
	for name, want := range map[string]string{
		"short": "short 1.5 kB", "a/very/long/name/of/a/file": "…e/of/a/file 1.5 kB", "evil\x1b[2J\n": "evil?[2J? 1.5 kB",
	} {
		if got := fitted(width, name, size(1500)); got != want || len([]rune(got)) > width {
			t.Errorf("%q: %q", name, got)
		}
	}
	for n, want := range map[int64]string{0: "0 B", 999: "999 B", 2_500_000: "2.5 MB", 3_000_000_000: "3.00 GB"} {
		if got := size(n); got != want {
			t.Errorf("%d is %s", n, got)
		}
	}
	var seen bytes.Buffer
	b := &bar{app: &app{err: &seen}}
	if _, err := io.Copy(io.Discard, b.reader("name", 200, strings.NewReader(strings.Repeat("x", 100)))); err != nil {
		t.Error(err)
	}
	b.clear()
	if got := seen.String(); !strings.Contains(got, "100 B of 200 B, 50 %") || !strings.HasSuffix(got, "\r\x1b[K") {
		t.Errorf("shown is %q", got)
	}
	silent := (&app{err: &bytes.Buffer{}, getenv: os.Getenv}).newBar(false)
	if r := strings.NewReader("x"); silent.reader("n", 1, r) != r || silent.app != nil {
		t.Error("something is shown where nobody sees it")
	}
}
