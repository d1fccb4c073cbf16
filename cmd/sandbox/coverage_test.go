package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// elsewhere are commands that no script can run, with what does: they wait for
// a signal, or want a terminal.
var elsewhere = map[string]string{
	"serve":  "TestServe",
	"shell":  "TestShell",
	"tunnel": "TestTunnel",
}

// builds needs a builder, which a machine for tests does not have.
const builds = "snapshot build"

// TestEveryCommand: each command is run by a script, or by a test of its own.
func TestEveryCommand(t *testing.T) {
	t.Parallel()
	scripts := contents(t, filepath.Join("testdata", "script", "*.txtar"))
	tests := contents(t, "*_test.go")
	var visit func(cmd *cobra.Command)
	visit = func(cmd *cobra.Command) {
		if cmd.HasSubCommands() {
			for _, sub := range cmd.Commands() {
				visit(sub)
			}
			return
		}
		_, name, _ := strings.Cut(cmd.CommandPath(), " ")
		if cmd.Hidden || name == "help" {
			return
		}
		if test, ok := elsewhere[name]; ok {
			if !strings.Contains(tests, "func "+test+"(t ") {
				t.Errorf("%s: there is no %s", name, test)
			}
			return
		}
		expect := "exec"
		if name == builds {
			expect = "! exec"
		}
		run := regexp.MustCompile(`(?m)^` + expect + ` (.*\b)?sandbox (--\S+ )*` + regexp.QuoteMeta(name) + `( |$)`)
		if !run.MatchString(scripts) {
			t.Errorf("no script has: %s sandbox %s", expect, name)
		}
	}
	root := (&app{getenv: func(string) string { return "" }}).command()
	root.InitDefaultCompletionCmd()
	visit(root)
}

func contents(t *testing.T, pattern string) string {
	t.Helper()
	names, err := filepath.Glob(pattern)
	if err != nil || len(names) == 0 {
		t.Fatalf("%s: %v", pattern, err)
	}
	var all strings.Builder
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(data)
	}
	return all.String()
}
