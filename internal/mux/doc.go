// Package mux carries many streams over one connection, in the protocol that
// yamux made known. Both ends are here: the client's, which opens streams, and
// the server's, which accepts them.
//
// It differs from the usual implementations in what makes tunnels fast and
// safe. What is written goes into one buffer and from there, header and body
// together, into as few messages as possible. A receive window grows by
// itself while it is what limits a transfer, within a budget for all streams.
// Credit comes back for what was read, not for what arrived, and a peer that
// sends more than its credit is cut off, so that a window is all that a stream
// can hold. A stream is forgotten once both sides are done with it. A peer
// that answers no ping is gone.
package mux
