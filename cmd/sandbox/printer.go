package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// Forms of what commands print.
const (
	formTable = "table"
	formJSON  = "json"
	formName  = "name"
)

// printer is how a command prints what there is.
type printer struct {
	form  string
	quiet bool
}

// forms are the values of --output.
var forms = []string{formTable, formJSON, formName}

// flags adds the flags of a command that prints in this form if it is told
// nothing else, and what it calls the names of what it prints.
func (p *printer) flags(cmd *cobra.Command, form, names string) {
	cmd.Flags().StringVarP(&p.form, "output", "o", form, "form of the output: "+orOf(forms))
	cmd.Flags().BoolVarP(&p.quiet, "quiet", "q", false, "print "+names+" only, as --output name does")
	completeFlag(cmd, "output", oneOf(forms...))
}

func (p *printer) check() error {
	if p.quiet {
		p.form = formName
	}
	return checkWord("output", p.form, forms)
}

// checkWord wants a flag to be one of some words.
func checkWord(flag, word string, words []string) error {
	if slices.Contains(words, word) {
		return nil
	}
	return fmt.Errorf("--%s %q: want %s", flag, word, orOf(words))
}

// orOf is a list to choose from.
func orOf(words []string) string {
	last := len(words) - 1
	if last == 0 {
		return words[0]
	}
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// column is one of a table.
type column[T any] struct {
	title string
	cell  func(*T) string
}

// printAll prints a list.
func printAll[T any](a *app, p printer, n noun[T], list []*T) error {
	switch p.form {
	case formJSON:
		if list == nil {
			list = []*T{}
		}
		return printJSON(a.out, list)
	case formName:
		for _, one := range list {
			if _, err := fmt.Fprintln(a.out, n.nameOf(one)); err != nil {
				return err
			}
		}
		return nil
	}
	return printTable(a, n, list)
}

// printOne prints a single thing.
func printOne[T any](a *app, p printer, n noun[T], one *T) error {
	if p.form == formJSON {
		return printJSON(a.out, one)
	}
	return printAll(a, p, n, []*T{one})
}

func printJSON(out io.Writer, v any) error {
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

func printTable[T any](a *app, n noun[T], list []*T) error {
	w := tabwriter.NewWriter(a.out, 0, 8, 2, ' ', 0)
	line := func(cell func(column[T]) string) {
		cells := make([]string, len(n.columns))
		for i, c := range n.columns {
			cells[i] = cell(c)
		}
		fmt.Fprintln(w, strings.TrimRight(strings.Join(cells, "\t"), "\t"))
	}
	colour := a.colours()
	line(func(c column[T]) string { return painted(c.title, c.title, colour) })
	for _, one := range list {
		line(func(c column[T]) string { return painted(c.title, orDash(c.cell(one)), colour) })
	}
	return w.Flush()
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// painted gives a status its colour. All codes are of one length, so that the
// columns stay where they are.
func painted(title, cell string, colour bool) string {
	if !colour || title != "STATUS" {
		return cell
	}
	code := "39"
	switch cell {
	case "ready", stateRunning:
		code = "32"
	case stateFailed, stateTimedOut:
		code = "31"
	case "provisioning", "building", "deleting":
		code = "33"
	}
	return "\x1b[" + code + "m" + cell + "\x1b[0m"
}

// colours reports whether output goes to a terminal of somebody who likes them.
func (a *app) colours() bool {
	return !a.noColour && a.getenv("NO_COLOR") == "" && a.getenv("TERM") != "dumb" && isTerminal(a.out)
}

func isTerminal(w any) bool {
	file, ok := fileOf(w)
	return ok && term.IsTerminal(int(file.Fd()))
}

// age is how long ago something was, in its largest unit.
func age(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	switch d := time.Since(t); {
	case d < time.Minute:
		return fmt.Sprintf("%ds", max(0, int(d.Seconds())))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	default:
		return fmt.Sprintf("%dd", int(d.Hours()/24))
	}
}

// amountOf is a size, or nothing where none is said.
func amountOf(bytes int64) string {
	if bytes == 0 {
		return ""
	}
	return size(bytes)
}
