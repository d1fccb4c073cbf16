package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

var update = flag.Bool("update", false, "write docs/cli.md")

// TestReference: docs/cli.md is what the commands say of themselves, and each
// of them says enough.
func TestReference(t *testing.T) {
	t.Parallel()
	a := &app{out: io.Discard, err: io.Discard, getenv: func(string) string { return "" }}
	root := a.command()
	var b strings.Builder
	b.WriteString("# The sandbox command\n\nThis page is made from the commands; `sandbox help` prints the same.\n")
	describe(t, &b, root)
	file := filepath.Join("..", "..", "docs", "cli.md")
	if *update {
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	have, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(have) != b.String() {
		t.Errorf("%s is not what the commands say: go test ./cmd/sandbox -run TestReference -update", file)
	}
}

func describe(t *testing.T, b *strings.Builder, cmd *cobra.Command) {
	t.Helper()
	if cmd.Hidden || cmd.Name() == "help" || cmd.Name() == "completion" {
		return
	}
	if cmd.Short == "" || cmd.Example == "" {
		t.Errorf("%s has no description or no example", cmd.CommandPath())
	}
	text := cmd.Long
	if text == "" {
		text = cmd.Short + "."
	}
	fmt.Fprintf(b, "\n## %s\n\n```text\n%s\n```\n\n", cmd.CommandPath(), text)
	fmt.Fprintf(b, "Usage: `%s`\n\n```text\n%s\n```\n", cmd.UseLine(), cmd.Example)
	if flags := cmd.LocalFlags().FlagUsages(); strings.TrimSpace(flags) != "" {
		fmt.Fprintf(b, "\n```text\n%s```\n", flags)
	}
	for _, sub := range cmd.Commands() {
		describe(t, b, sub)
	}
}
