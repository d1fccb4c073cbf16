package mux

import (
	"io"
	"net"
	"sync"
)

// Bridge carries bytes between a stream and a connection, and the end of each
// way on its own, until both have ended; what breaks one off breaks off the
// other. Nothing is taken from the stream before ready returns, which may be
// nil; its error breaks both off. Bridge closes both.
func Bridge(st *Stream, conn net.Conn, ready func() error) error {
	defer conn.Close()
	defer st.Close()
	// Also ends what waits for the connection.
	st.OnReset(func() {
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		_ = conn.Close()
	})
	var out sync.WaitGroup
	out.Go(func() {
		if _, err := io.Copy(st, conn); err != nil {
			st.Reset()
			return
		}
		_ = st.CloseWrite()
	})
	err := in(st, conn, ready)
	out.Wait()
	return err
}

func in(st *Stream, conn net.Conn, ready func() error) error {
	if ready != nil {
		if err := ready(); err != nil {
			st.Reset()
			return err
		}
	}
	if _, err := io.Copy(conn, st); err != nil {
		st.Reset() // nobody takes what comes
	} else if half, ok := conn.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
	return nil
}
