//go:build interop

package interop

import (
	"cmp"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write docs/compatibility.md instead of comparing it")

const matrixFile = "../../docs/compatibility.md"

const matrixHead = `# What the official SDKs do with the local server

Written by ` + "`make interop`" + `, which runs the official ` + "`langsmith`" + ` packages, unmodified and
pinned by lock files, against ` + "`sandbox serve`" + `. Every case that stands here passes, with
the synchronous and the asynchronous client where a package has both; an empty cell
is a case that the client was not tried with. What the server refuses is a case, too,
which says so.

What the clients do whatever the server says:

- JavaScript 0.5.9 reads the body of a 422 twice and fails at that with a
  ` + "`TypeError`" + `: its validation error is out of reach. A server that cannot be
  reached is fetch's own error.
- JavaScript 0.12.0 loses input that is sent to a command it has reattached to, until
  the first chunk of output is read.
- Python closes the connection as it kills a command: unless the exit comes first, the
  handle's result is an error, and the exit code is known by reconnecting.
- Python's tunnels listen on the number of the remote port unless told otherwise.

`

const membersHead = `
## What the clients offer, and which case calls it

Each client is asked, at run time, for the classes, methods, functions and errors
that it exports. A member counts as called if a case itself calls it (an error: if a
case catches it); the first such case is named. Types without anything to run, and
constants, are not listed.
`

// matrix holds docs/compatibility.md to the results, or writes it.
func matrix(t *testing.T, results map[string]outcome) {
	t.Helper()
	absent := slices.ContainsFunc(slices.Collect(maps.Values(results)), func(o outcome) bool { return o.absent })
	if len(results) < len(programs()) || absent {
		fmt.Fprintln(os.Stderr, "\n!!! INTEROP: NOT ALL CASES WERE RUN: docs/compatibility.md is neither compared nor written")
		return
	}
	if t.Failed() {
		return // what is broken is no state to write down
	}
	got := render(results)
	if *update {
		if err := os.WriteFile(matrixFile, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(matrixFile)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("docs/compatibility.md is not what ran: make interop-update writes\n%s", got)
	}
}

func render(results map[string]outcome) string {
	var out strings.Builder
	out.WriteString(matrixHead)
	out.WriteString("| Feature | Case |")
	for _, p := range programs() {
		fmt.Fprintf(&out, " %s %s |", p.client, p.version)
	}
	out.WriteString("\n|---|---|" + strings.Repeat("---|", len(programs())) + "\n")
	for _, row := range rows(results) {
		fmt.Fprintf(&out, "| %s | %s |", row.Feature, row.Case)
		for _, p := range programs() {
			fmt.Fprintf(&out, " %s |", cell(results[p.dir].lines, row))
		}
		out.WriteString("\n")
	}
	out.WriteString(membersHead)
	renderMembers(&out, results)
	return out.String()
}

// rows are the cases of all programs, each once, by feature in the order of
// their first appearance.
func rows(results map[string]outcome) []line {
	var features []string
	cases := make(map[string][]line)
	seen := make(map[[2]string]bool)
	for _, p := range programs() {
		for _, l := range results[p.dir].lines {
			row := line{Feature: l.Feature, Case: l.Case}
			if seen[[2]string{l.Feature, l.Case}] {
				continue
			}
			seen[[2]string{l.Feature, l.Case}] = true
			if cases[l.Feature] == nil {
				features = append(features, l.Feature)
			}
			cases[l.Feature] = append(cases[l.Feature], row)
		}
	}
	var all []line
	for _, f := range features {
		all = append(all, cases[f]...)
	}
	return all
}

// cell says that a program has passed a case, and with which of its clients.
func cell(lines []line, row line) string {
	var kinds []string
	for _, l := range lines {
		if l.Feature == row.Feature && l.Case == row.Case {
			kinds = append(kinds, cmp.Or(l.Kind, "yes"))
		}
	}
	return strings.Join(kinds, ", ")
}
