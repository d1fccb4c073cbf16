package egress

import (
	"context"
	"io"
	"net"
	"sync"
	"time"
)

var buffers = sync.Pool{New: func() any { return new([maskBuffer]byte) }}

// join copies between two connections, which it closes, and passes on the end
// of one direction while the other goes on.
func join(ctx context.Context, a, b net.Conn, idle time.Duration) {
	shut := func() {
		a.Close()
		b.Close()
	}
	defer shut()
	defer context.AfterFunc(ctx, shut)()
	timer := time.AfterFunc(idle, shut)
	defer timer.Stop()
	var both sync.WaitGroup
	both.Go(func() { pump(a, b, shut, func() { timer.Reset(idle) }) })
	both.Go(func() { pump(b, a, shut, func() { timer.Reset(idle) }) })
	both.Wait()
}

// pump copies until src ends. An error ends the other direction, too.
func pump(dst, src net.Conn, shut, seen func()) {
	buf := buffers.Get().(*[maskBuffer]byte) //nolint:errcheck,forcetypeassert // nothing else is in there
	defer buffers.Put(buf)
	for {
		n, err := src.Read(buf[:])
		if n > 0 {
			seen()
			if _, werr := dst.Write(buf[:n]); werr != nil {
				shut()
				return
			}
		}
		if err != nil {
			if err != io.EOF || closeWrite(dst) != nil { //nolint:errorlint // a connection says no other
				shut()
			}
			return
		}
	}
}
