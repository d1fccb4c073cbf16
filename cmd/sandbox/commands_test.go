package main

import (
	"bytes"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/langsandbox/sandbox-go/sandboxclient"
	"github.com/langsandbox/sandbox-go/sandboxserver"
)

// eachCommand calls f for every command that does something of its own.
func eachCommand(root *cobra.Command, f func(path []string, cmd *cobra.Command)) {
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		for _, sub := range cmd.Commands() {
			if sub.Name() == "help" || sub.Name() == "completion" || strings.HasPrefix(sub.Name(), "__") {
				continue
			}
			if sub.Runnable() && !sub.HasSubCommands() {
				f(strings.Fields(sub.CommandPath())[1:], sub)
			}
			walk(sub)
		}
	}
	walk(root)
}

// try runs the program in this process.
func try(env map[string]string, args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	a := &app{in: strings.NewReader(""), out: &out, err: &errs, getenv: func(key string) string { return env[key] }}
	code = a.main(args)
	return code, out.String(), errs.String()
}

// offered are the completions of the last word, and what the shell is to do
// with them.
func offered(t *testing.T, env map[string]string, words ...string) (names []string, directive string) {
	t.Helper()
	code, out, errs := try(env, append([]string{"__complete"}, words...)...)
	if code != 0 {
		t.Fatalf("complete %q: code %d, %s", words, code, errs)
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	for _, line := range lines[:len(lines)-1] {
		name, _, _ := strings.Cut(line, "\t")
		names = append(names, name)
	}
	return names, lines[len(lines)-1]
}

// Directives of completions.
const (
	noFiles       = ":4" // and nothing else
	filesToo      = ":0"
	noSpace       = ":2" // which leaves files to the shell if nothing is offered
	noSpaceFiles  = ":6" // and no files
	directoryOnly = ":16"
)

// nowhere is an environment with a key for a server that is not there.
var nowhere = map[string]string{"LANGSMITH_API_KEY": "key", "LANGSMITH_ENDPOINT": "http://127.0.0.1:1"}

// TestCommandsAreAlike: what all commands have in common.
func TestCommandsAreAlike(t *testing.T) {
	t.Parallel()
	root := (&app{getenv: func(string) string { return "" }}).command()
	eachCommand(root, func(path []string, cmd *cobra.Command) {
		name := cmd.CommandPath()
		t.Run(strings.Join(path, "_"), func(t *testing.T) {
			for line := range strings.Lines(cmd.Example) {
				if !strings.Contains(strings.TrimRight(line, ")\n")+" ", name+" ") {
					t.Errorf("example %q is of another command", line)
				}
			}
			if strings.HasSuffix(cmd.Short, ".") || cmd.Short != strings.ToUpper(cmd.Short[:1])+cmd.Short[1:] {
				t.Errorf("short help %q: want a phrase with a capital letter and no full stop", cmd.Short)
			}
			for word := range strings.FieldsSeq(strings.TrimPrefix(cmd.Use, cmd.Name())) {
				if strings.ToUpper(word) != word && word != "[flags]" && word != "command" && word != "[argument...]" {
					t.Errorf("usage %q: arguments are in capital letters", cmd.Use)
				}
			}
			if cmd.HasAvailableLocalFlags() != strings.Contains(cmd.Use, "[flags]") && cmd.LocalNonPersistentFlags().HasAvailableFlags() {
				t.Errorf("usage %q: has flags, or none", cmd.Use)
			}
			alikeFlags(t, path, cmd)
			alikeOutput(t, path, cmd)
		})
	})
}

// alikeFlags: shells offer files for flags only that want some.
func alikeFlags(t *testing.T, path []string, cmd *cobra.Command) {
	t.Helper()
	files := map[string]string{"upload": filesToo, "file": filesToo, "data": directoryOnly}
	cmd.LocalFlags().VisitAll(func(flag *pflag.Flag) {
		if flag.Value.Type() == "bool" {
			return
		}
		want := noFiles
		if directive, ok := files[flag.Name]; ok {
			want = directive
		}
		_, got := offered(t, nil, append(slices.Clone(path), "--"+flag.Name, "")...)
		if got != want {
			t.Errorf("--%s: completed with directive %s, want %s", flag.Name, got, want)
		}
		if flag.Usage == "" || strings.HasSuffix(flag.Usage, ".") || strings.ToLower(flag.Usage[:1]) != flag.Usage[:1] && flag.Usage[:3] != "CPU" {
			t.Errorf("--%s: %q: want a phrase in small letters, with no full stop", flag.Name, flag.Usage)
		}
	})
}

// alikeOutput: --output and --quiet are the same everywhere.
func alikeOutput(t *testing.T, path []string, cmd *cobra.Command) {
	t.Helper()
	output, quiet := cmd.Flags().Lookup("output"), cmd.Flags().Lookup("quiet")
	if output == nil {
		if cmd.Name() == "ls" || cmd.Name() == "get" || cmd.Name() == "create" {
			t.Error("has no --output")
		}
		return
	}
	if output.Shorthand != "o" || quiet == nil || quiet.Shorthand != "q" {
		t.Errorf("-o is %q, --quiet %v", output.Shorthand, quiet)
	}
	if got, _ := offered(t, nil, append(slices.Clone(path), "--output", "")...); !slices.Equal(got, forms) {
		t.Errorf("--output is completed by %q", got)
	}
	args := append(slices.Clone(path), "--output", "xml")
	for range strings.Count(cmd.Use, "NAME") + strings.Count(cmd.Use, "SNAPSHOT") + strings.Count(cmd.Use, "IMAGE") +
		strings.Count(cmd.Use, "URL") + strings.Count(cmd.Use, "TEMPLATE") + strings.Count(cmd.Use, "DIR") + strings.Count(cmd.Use, "SANDBOX") -
		strings.Count(cmd.Use, "[NAME]") {
		args = append(args, "x")
	}
	code, out, errs := try(nowhere, args...)
	if want := "sandbox: --output \"xml\": want table, json or name\n"; code != exitFailed || out != "" || errs != want {
		t.Errorf("%q: code %d, %q, %q, want %q", args, code, out, errs, want)
	}
}

// embedded is a server with one thing of each kind, and the environment that
// leads to it.
func embedded(t *testing.T) (env map[string]string, c *sandboxclient.Client) {
	t.Helper()
	server, err := sandboxserver.New(sandboxserver.Config{MinIsolation: sandboxserver.IsolationProcess})
	if err != nil {
		t.Fatal(err)
	}
	listener := httptest.NewServer(server)
	t.Cleanup(func() {
		listener.Close()
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	env = map[string]string{"LANGSMITH_ENDPOINT": listener.URL, "LANGSMITH_API_KEY": server.APIKey(), "XDG_STATE_HOME": t.TempDir()}
	c, err = sandboxclient.New(sandboxclient.WithEnvironment(func(key string) string { return env[key] }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return env, c
}

func mustRun(t *testing.T, env map[string]string, line string) string {
	t.Helper()
	code, out, errs := try(env, strings.Fields(line)...)
	if code != 0 {
		t.Fatalf("sandbox %s: code %d, %s", line, code, errs)
	}
	return strings.TrimSpace(out)
}

// TestUpdatesWantAChange: before any request.
func TestUpdatesWantAChange(t *testing.T) {
	t.Parallel()
	for kind, want := range map[string]string{
		"template": "--name", "pool": "--name or --replicas", "volume": "--name or --size",
		"registry": "--name, --password-stdin, --url or --username",
	} {
		code, out, errs := try(nowhere, kind, "update", "one")
		if code != exitFailed || out != "" || errs != "sandbox: nothing to change: want "+want+"\n" {
			t.Errorf("%s: code %d, %q, %q", kind, code, out, errs)
		}
	}
}

// TestArgumentsAreCompleted: every argument that names what a server has.
func TestArgumentsAreCompleted(t *testing.T) {
	t.Parallel()
	env, _ := embedded(t)
	for _, line := range []string{
		"create --name box", "create --name case", "template create shape python:3.12-slim", "volume create data",
		"pool create warm shape --replicas 1", "registry create depot registry.example.com",
		"snapshot capture box team/kept --tag v1", "snapshot capture box team/last",
	} {
		mustRun(t, env, line)
	}
	job := mustRun(t, env, "exec --detach box -- sleep 60")
	snapshots := []string{"team/last", "team/kept:v1", "system/default"}
	boxes := []string{"case", "box"}
	places := []string{"case:", "box:"}
	tests := []struct {
		line      string // the last word is completed
		want      []string
		directive string
	}{
		{"get ", boxes, noFiles},
		{"get box ", nil, noFiles},
		{"exec ", boxes, noFiles},
		{"exec box ", nil, noFiles},
		{"shell ", boxes, noFiles},
		{"ps ", boxes, noFiles},
		{"logs ", boxes, noFiles},
		{"logs box ", []string{job}, noFiles},
		{"attach box ", []string{job}, noFiles},
		{"kill box ", []string{job}, noFiles},
		{"kill box " + job + " ", nil, noFiles},
		{"start ", boxes, noFiles},
		{"stop box ", []string{"case"}, noFiles},
		{"wait ", boxes, noFiles},
		{"rename ", boxes, noFiles},
		{"rename box ", nil, noFiles},
		{"rm ", boxes, noFiles},
		{"rm case ", []string{"box"}, noFiles},
		{"open ", boxes, noFiles},
		{"open box ", nil, noFiles},
		{"tunnel ", boxes, noFiles},
		{"tunnel box ", nil, noFiles},
		{"cat ", places, noSpaceFiles},
		{"cat box:f ", places, noSpaceFiles},
		{"cat box:", nil, noFiles},
		{"write ", places, noSpaceFiles},
		{"write box:f ", nil, noFiles},
		{"cp ", places, noSpace},
		{"cp file ", places, noSpace},
		{"cp ./fi", nil, filesToo},
		{"cp unlike", nil, filesToo},
		{"cp a b ", nil, noFiles},
		{"create --snapshot ", snapshots, noFiles},
		{"create --template ", []string{"shape"}, noFiles},
		{"run --snapshot ", snapshots, noFiles},
		{"run --template ", []string{"shape"}, noFiles},
		{"run --min-isolation ", isolations(), noFiles},
		{"serve --log ", logForms, noFiles},
		{"open --access ", accesses, noFiles},
		{"snapshot get ", snapshots, noFiles},
		{"snapshot rm team/last ", []string{"team/kept:v1", "system/default"}, noFiles},
		{"snapshot capture ", boxes, noFiles},
		{"snapshot capture box ", nil, noFiles},
		{"snapshot create --registry ", []string{"depot"}, noFiles},
		{"snapshot create ", nil, noFiles},
		{"snapshot build ", nil, directoryOnly},
		{"snapshot build . ", nil, noFiles},
		{"template get ", []string{"shape"}, noFiles},
		{"template create --registry ", []string{"depot"}, noFiles},
		{"template update ", []string{"shape"}, noFiles},
		{"pool create ", nil, noFiles},
		{"pool create other ", []string{"shape"}, noFiles},
		{"pool update ", []string{"warm"}, noFiles},
		{"volume update ", []string{"data"}, noFiles},
		{"volume rm data ", nil, noFiles},
		{"registry update ", []string{"depot"}, noFiles},
		{"ls ", nil, noFiles},
		{"usage ", nil, noFiles},
		{"version ", nil, noFiles},
	}
	covered := map[string]bool{}
	for _, tt := range tests {
		words := strings.Split(tt.line, " ")
		covered[words[0]] = true
		got, directive := offered(t, env, words...)
		slices.Sort(got)
		want := slices.Sorted(slices.Values(tt.want))
		if !slices.Equal(got, want) || directive != tt.directive {
			t.Errorf("sandbox %s: %q, directive %s; want %q, %s", tt.line, got, directive, want, tt.directive)
		}
		without, _ := offered(t, nil, words...) // no server is no error
		if len(without) > 0 && !slices.Equal(slices.Sorted(slices.Values(without)), want) {
			t.Errorf("sandbox %s without a server: %q", tt.line, without)
		}
	}
	eachCommand((&app{getenv: func(string) string { return "" }}).command(), func(path []string, cmd *cobra.Command) {
		if strings.ContainsAny(strings.TrimPrefix(cmd.Use, cmd.Name()+" [flags]"), "ABCDEFGHIJKLMNOPQRSTUVWXYZ") && !covered[path[0]] {
			t.Errorf("%s has arguments and no test of their completion", fmt.Sprint(path))
		}
	})
}
