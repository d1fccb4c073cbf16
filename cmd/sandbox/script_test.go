package main

import (
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/langsandbox/sandbox-go/sandboxserver"
)

// TestScripts runs the scripts in testdata, each with a server of its own.
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup:               startServer,
		Cmds:                map[string]func(ts *testscript.TestScript, neg bool, args []string){"printed": printedIs},
	})
}

func startServer(env *testscript.Env) error {
	server, err := sandboxserver.New(sandboxserver.Config{MinIsolation: sandboxserver.IsolationProcess})
	if err != nil {
		return err
	}
	listener := httptest.NewServer(server)
	env.Defer(func() {
		listener.Close()
		if err := server.Close(); err != nil {
			env.T().Log(err)
		}
	})
	env.Setenv("LANGSMITH_ENDPOINT", listener.URL)
	env.Setenv("LANGSMITH_API_KEY", server.APIKey())
	env.Setenv("XDG_STATE_HOME", env.Getenv("WORK")+"/.state")
	return nil
}

// What differs from one run to the next.
var varying = []struct {
	expression *regexp.Regexp
	with       string
}{
	{regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`), "ID"},
	{regexp.MustCompile(`\bsb-[0-9a-f]{10}\b`), "sb-NAME"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT[0-9:.]+Z`), "TIME"},
	{regexp.MustCompile(`http://127\.0\.0\.1:\d+`), "SERVER"},
	{regexp.MustCompile(`(?m) \d+s( |$)`), " AGE$1"},
	{regexp.MustCompile(`\d+(\.\d+)? [kMG]?B`), "SIZE"},
	{regexp.MustCompile(` +`), " "},
	{regexp.MustCompile(`(?m) $`), ""},
}

// printedIs compares what the last command printed with a file, but for what
// differs from one run to the next.
func printedIs(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: printed file")
	}
	got, want := ts.ReadFile("stdout"), ts.ReadFile(args[0])
	for _, v := range varying {
		got = v.expression.ReplaceAllString(got, v.with)
	}
	if strings.TrimSpace(got) != strings.TrimSpace(want) {
		ts.Fatalf("printed\n%s\nwant\n%s", got, want)
	}
}
