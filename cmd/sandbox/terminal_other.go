//go:build !unix

package main

import "time"

// watchSize calls changed every now and then, since nothing tells when the
// terminal has another size, until done is closed.
func watchSize(done <-chan struct{}, changed func()) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		changed()
		select {
		case <-tick.C:
		case <-done:
			return
		}
	}
}

// saneAtQuit does nothing: there is no such signal.
func saneAtQuit(func() error) (release func()) { return func() {} }
