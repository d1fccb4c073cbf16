//go:build unix

package main

import (
	"os"
	"os/signal"
	"syscall"
)

// watchSize calls changed when the terminal may have another size, and once at
// the beginning, until done is closed.
func watchSize(done <-chan struct{}, changed func()) {
	resized := make(chan os.Signal, 1)
	signal.Notify(resized, syscall.SIGWINCH)
	defer signal.Stop(resized)
	for {
		changed()
		select {
		case <-resized:
		case <-done:
			return
		}
	}
}
