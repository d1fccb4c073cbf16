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

// saneAtQuit restores the terminal when the program is told to quit, which then
// prints its stacks as usual.
func saneAtQuit(restore func() error) (release func()) {
	quit, done := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(quit, syscall.SIGQUIT)
	go func() {
		select {
		case <-quit:
			_ = restore()
			signal.Reset(syscall.SIGQUIT)
			_ = syscall.Kill(os.Getpid(), syscall.SIGQUIT)
		case <-done:
		}
	}()
	return func() {
		signal.Stop(quit)
		close(done)
	}
}
