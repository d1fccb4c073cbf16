package mux

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

const headerSize = 12

// Types of frames.
const (
	typeData = iota
	typeWindow
	typePing
	typeGoAway
)

// Flags of frames.
const (
	flagSYN = 1 << iota
	flagACK
	flagFIN
	flagRST
)

// Codes of a go-away frame.
const (
	goAwayNormal = iota
	goAwayProtocol
	goAwayInternal
)

// initialWindow is what either side may send on a new stream, in bytes.
const initialWindow = 256 << 10

// header begins a frame. For data, length is that of the payload; else it is
// credit, a value to send back, or a code.
type header struct {
	kind   uint8
	flags  uint16
	stream uint32
	length uint32
}

func (h header) append(b []byte) []byte {
	b = append(b, 0, h.kind)
	b = binary.BigEndian.AppendUint16(b, h.flags)
	b = binary.BigEndian.AppendUint32(b, h.stream)
	return binary.BigEndian.AppendUint32(b, h.length)
}

func (h header) has(flag uint16) bool { return h.flags&flag != 0 }

// ErrProtocol reports a peer that does not keep to the protocol.
var ErrProtocol = errors.New("the peer broke the stream protocol")

// readHeader returns io.EOF only where a frame may end.
func readHeader(r io.Reader, b *[headerSize]byte) (header, error) {
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return header{}, err
	}
	h := header{
		kind:   b[1],
		flags:  binary.BigEndian.Uint16(b[2:]),
		stream: binary.BigEndian.Uint32(b[4:]),
		length: binary.BigEndian.Uint32(b[8:]),
	}
	switch {
	case b[0] != 0:
		return h, fmt.Errorf("%w: version %d", ErrProtocol, b[0])
	case h.kind > typeGoAway:
		return h, fmt.Errorf("%w: frame of type %d", ErrProtocol, h.kind)
	case h.kind < typePing && h.stream == 0:
		return h, fmt.Errorf("%w: data for no stream", ErrProtocol)
	}
	return h, nil
}
