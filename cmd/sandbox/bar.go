package main

import (
	"fmt"
	"io"
	"time"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

// bar is a line on a terminal that says how far a copy has come.
type bar struct {
	app  *app // nil shows nothing
	last time.Time
}

// barPause is how often the line changes at most.
const barPause = 100 * time.Millisecond

// newBar shows something only where somebody sees it.
func (a *app) newBar(quiet bool) *bar {
	if quiet || !a.showsProgress() {
		return &bar{}
	}
	return &bar{app: a, last: time.Now()}
}

func (b *bar) show(name, state string) {
	if b.app == nil || time.Since(b.last) < barPause {
		return
	}
	b.last = time.Now()
	b.app.draw(fitted(b.app.columns(), name, state))
}

func (b *bar) clear() {
	if b.app != nil {
		b.app.wipe()
	}
}

// files shows how far a tree has come.
func (b *bar) files(p sandboxclient.CopyProgress) {
	b.show(p.Path, fmt.Sprintf("%d files, %s", p.Files, size(p.Bytes)))
}

// reader shows how far a file has come that is read.
func (b *bar) reader(name string, total int64, r io.Reader) io.Reader {
	if b.app == nil {
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
