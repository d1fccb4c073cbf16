package main

import (
	"fmt"
	"strings"
	"sync"
	"unicode"

	"golang.org/x/term"
)

// status is the line of a terminal that says what goes on. Whatever else is
// written to the terminal meanwhile takes its place.
type status struct {
	mu    sync.Mutex
	shown bool
}

const wiped = "\r\x1b[K"

// showsProgress reports whether somebody sees a line that changes.
func (a *app) showsProgress() bool { return isTerminal(a.err) && a.getenv("TERM") != "dumb" }

// draw replaces the line.
func (a *app) draw(line string) {
	a.status.mu.Lock()
	defer a.status.mu.Unlock()
	a.status.shown = true
	fmt.Fprint(a.err, "\r", line, "\x1b[K")
}

// wipe takes the line away.
func (a *app) wipe() { a.instead(func() {}) }

// instead writes something where the line is.
func (a *app) instead(write func()) {
	a.status.mu.Lock()
	defer a.status.mu.Unlock()
	if a.status.shown {
		a.status.shown = false
		fmt.Fprint(a.err, wiped)
	}
	write()
}

// columns is the width of the terminal that shows progress.
func (a *app) columns() int {
	if f, ok := fileOf(a.err); ok {
		if width, _, err := term.GetSize(int(f.Fd())); err == nil && width >= 20 {
			return width
		}
	}
	return 80
}

// fitted is a name and what is said of it in one line, with the end of the name
// if all of it is too long. Names that come from elsewhere have no say over
// the terminal.
func fitted(width int, name, state string) string {
	runes := []rune(strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, name))
	if room := width - len(state) - 2; len(runes) > room {
		runes = append([]rune("…"), runes[len(runes)-max(room-1, 0):]...)
	}
	return strings.TrimSuffix(string(runes)+" "+state, " ")
}
