package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode"

	"golang.org/x/term"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

// bar is a line on a terminal that says how far a copy has come.
type bar struct {
	to    io.Writer // nil shows nothing
	width int
	last  time.Time
	shown bool
}

// barPause is how often the line changes at most.
const barPause = 100 * time.Millisecond

// newBar shows something only where somebody sees it, and where it is not in
// the way of what is printed.
func (a *app) newBar(quiet bool) *bar {
	f, ok := a.err.(*os.File)
	if quiet || !ok || !term.IsTerminal(int(f.Fd())) {
		return &bar{}
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil || width < 20 {
		width = 80
	}
	return &bar{to: f, width: width, last: time.Now()}
}

func (b *bar) show(name string, state string) {
	if b.to == nil || time.Since(b.last) < barPause {
		return
	}
	b.last, b.shown = time.Now(), true
	fmt.Fprint(b.to, "\r", b.line(name, state), "\x1b[K")
}

// line has the end of the name, if all of it is too long. Names that come from
// a sandbox have no say over the terminal.
func (b *bar) line(name, state string) string {
	runes := []rune(strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, name))
	if room := b.width - len(state) - 2; len(runes) > room {
		runes = append([]rune("…"), runes[len(runes)-max(room-1, 0):]...)
	}
	return string(runes) + " " + state
}

func (b *bar) clear() {
	if b.shown {
		fmt.Fprint(b.to, "\r\x1b[K")
	}
}

// files shows how far a tree has come.
func (b *bar) files(p sandboxclient.CopyProgress) {
	b.show(p.Path, fmt.Sprintf("%d files, %s", p.Files, size(p.Bytes)))
}

// reader shows how far a file has come that is read.
func (b *bar) reader(name string, total int64, r io.Reader) io.Reader {
	if b.to == nil {
		return r
	}
	return &barReader{r, b, name, total, 0}
}

type barReader struct {
	io.Reader
	bar       *bar
	name      string
	total, at int64
}

func (r *barReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	r.at += int64(n)
	state := size(r.at)
	if r.total > 0 {
		state = fmt.Sprintf("%s of %s, %d %%", state, size(r.total), r.at*100/r.total)
	}
	r.bar.show(r.name, state)
	return n, err
}

// size is a number of bytes for people.
func size(n int64) string {
	switch {
	case n < 1000:
		return fmt.Sprintf("%d B", n)
	case n < 1000_000:
		return fmt.Sprintf("%.1f kB", float64(n)/1e3)
	case n < 1000_000_000:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	default:
		return fmt.Sprintf("%.2f GB", float64(n)/1e9)
	}
}
