package sandboxtest

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// opcode is the kind of a WebSocket frame, by its name on a tape.
type opcode string

const (
	opContinuation opcode = "continuation"
	opText         opcode = "text"
	opBinary       opcode = "binary"
	opClose        opcode = "close"
	opPing         opcode = "ping"
	opPong         opcode = "pong"
)

var opcodes = map[byte]opcode{0: opContinuation, 1: opText, 2: opBinary, 8: opClose, 9: opPing, 10: opPong}

// taped reports whether frames of the kind are on tapes. Pings come when their
// time comes, not when a session says so.
func (o opcode) taped() bool {
	return o == opContinuation || o == opText || o == opBinary || o == opClose
}

// rawFrame is a frame without its mask.
type rawFrame struct {
	op      opcode
	final   bool
	payload string
}

// frameReader cuts the bytes of one direction into frames.
type frameReader struct {
	masked bool // of a client
	buf    []byte
	err    error
}

var errFrame = errors.New("no WebSocket frames of a connection without extensions")

// feed takes bytes and returns the frames that they complete. After an error it
// takes nothing any more.
func (r *frameReader) feed(p []byte) ([]rawFrame, error) {
	if r.err != nil {
		return nil, r.err
	}
	r.buf = append(r.buf, p...)
	var frames []rawFrame
	for {
		f, size, err := r.next()
		if err != nil {
			r.err, r.buf = err, nil
			return frames, err
		}
		if size == 0 {
			return frames, nil
		}
		r.buf = r.buf[size:]
		frames = append(frames, f)
	}
}

// next is the first frame of the buffer and its size there, 0 if it is not
// complete.
func (r *frameReader) next() (rawFrame, int, error) {
	b := r.buf
	if len(b) < 2 {
		return rawFrame{}, 0, nil
	}
	op, known := opcodes[b[0]&0xf]
	if b[0]&0x70 != 0 || !known || (b[1]&0x80 != 0) != r.masked {
		return rawFrame{}, 0, fmt.Errorf("%w: %#x %#x", errFrame, b[0], b[1])
	}
	at, length := 2, uint64(b[1]&0x7f)
	switch {
	case length == 126 && len(b) >= 4:
		at, length = 4, uint64(binary.BigEndian.Uint16(b[2:]))
	case length == 127 && len(b) >= 10:
		at, length = 10, binary.BigEndian.Uint64(b[2:])
	case length > 125:
		return rawFrame{}, 0, nil
	}
	if length > tapeLimit {
		return rawFrame{}, 0, fmt.Errorf("%w: a frame of %d bytes", errFrame, length)
	}
	var mask []byte
	if r.masked {
		if len(b) < at+4 {
			return rawFrame{}, 0, nil
		}
		mask = b[at : at+4]
		at += 4
	}
	size := at + int(length)
	if len(b) < size {
		return rawFrame{}, 0, nil
	}
	payload := append([]byte(nil), b[at:size]...)
	if r.masked {
		for i := range payload {
			payload[i] ^= mask[i&3]
		}
	}
	return rawFrame{op, b[0]&0x80 != 0, string(payload)}, size, nil
}

// encode makes the bytes of a frame as a server sends it.
func (f rawFrame) encode() []byte {
	var head [10]byte
	for code, op := range opcodes {
		if op == f.op {
			head[0] = code
		}
	}
	if f.final {
		head[0] |= 0x80
	}
	n := len(f.payload)
	size := 2
	switch {
	case n <= 125:
		head[1] = byte(n)
	case n <= 0xffff:
		head[1], size = 126, 4
		binary.BigEndian.PutUint16(head[2:], uint16(n))
	default:
		head[1], size = 127, 10
		binary.BigEndian.PutUint64(head[2:], uint64(n))
	}
	return append(head[:size:size], f.payload...)
}
