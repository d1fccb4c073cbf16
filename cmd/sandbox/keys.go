package main

import (
	"bytes"
	"io"
	"sync"
)

// keys are those of a terminal on their way to a command. They wait while the
// connection is made anew. While the command is out of reach, Ctrl-C is this
// program's: else no key could end it.
type keys struct {
	to         io.Writer
	reconnects func() int64 // how often the connection was made anew
	interrupt  func()

	mu      sync.Mutex
	changed sync.Cond // of all below
	waiting []byte
	closed  bool
	err     error // of the command's side
	lostAt  int64 // what reconnects was when the command was out of reach, or -1
}

// maxKeys is how much waits, of a paste.
const maxKeys = 64 << 10

func newKeys(to io.Writer, reconnects func() int64, interrupt func()) *keys {
	k := &keys{to: to, reconnects: reconnects, interrupt: interrupt, lostAt: -1}
	k.changed.L = &k.mu
	return k
}

// lost says that the command is out of reach.
func (k *keys) lost() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.lostAt = k.reconnects()
}

const ctrlC = 0x03

// Write takes keys. An error is that of keys before.
func (k *keys) Write(p []byte) (int, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.lostAt >= 0 && k.lostAt == k.reconnects() && bytes.IndexByte(p, ctrlC) >= 0 {
		k.interrupt()
		return len(p), nil
	}
	for len(k.waiting) >= maxKeys && k.err == nil && !k.closed {
		k.changed.Wait()
	}
	if k.err != nil {
		return 0, k.err
	}
	k.waiting = append(k.waiting, p...)
	k.changed.Broadcast()
	return len(p), nil
}

// pass passes keys on, until they are closed or the command takes no more.
func (k *keys) pass() {
	var batch []byte
	for {
		k.mu.Lock()
		for len(k.waiting) == 0 && !k.closed {
			k.changed.Wait()
		}
		if k.closed {
			k.mu.Unlock()
			return
		}
		batch, k.waiting = k.waiting, batch[:0]
		k.changed.Broadcast()
		k.mu.Unlock()
		if _, err := k.to.Write(batch); err != nil {
			k.mu.Lock()
			k.err = err
			k.changed.Broadcast()
			k.mu.Unlock()
			return
		}
	}
}

// close has pass return, at the latest when the command has ended.
func (k *keys) close() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.closed = true
	k.changed.Broadcast()
}
