package bench

import (
	"encoding/binary"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/hashicorp/yamux"

	"github.com/langsandbox/sandbox-go/internal/mux"
	"github.com/langsandbox/sandbox-go/sandboxclient"
)

// Ports of the stub.
const (
	portSource = 1 // sends as many bytes as the next eight say
	portSink   = 2 // takes everything, then answers with one byte
	portEcho   = 3
)

// tunnel serves streams from memory, so that the clients are what limits the
// speed.
func tunnel(w http.ResponseWriter, r *http.Request) {
	hijacker := &mux.Hijacker{ResponseWriter: w}
	conn, err := websocket.Accept(hijacker, r, &websocket.AcceptOptions{CompressionMode: websocket.CompressionDisabled})
	if err != nil {
		return
	}
	session := mux.New(mux.WebSocket(conn, hijacker.Wire), mux.Config{Accept: servePort})
	<-session.Done()
	_ = session.Close()
}

func servePort(st *mux.Stream) {
	defer st.Close()
	var prologue [3]byte
	if _, err := io.ReadFull(st, prologue[:]); err != nil {
		return
	}
	if _, err := st.Write([]byte{0}); err != nil {
		return
	}
	switch binary.BigEndian.Uint16(prologue[1:]) {
	case portSource:
		var size [8]byte
		if _, err := io.ReadFull(st, size[:]); err != nil {
			return
		}
		block := make([]byte, 32<<10)
		for left := binary.BigEndian.Uint64(size[:]); left > 0; {
			n, err := st.Write(block[:min(uint64(len(block)), left)])
			if err != nil {
				return
			}
			left -= uint64(n)
		}
	case portSink:
		block := make([]byte, 64<<10)
		for err := error(nil); err == nil; {
			_, err = st.Read(block)
		}
		_, _ = st.Write([]byte{1})
	case portEcho:
		_, _ = io.Copy(st, st)
	}
}

// tunnels opens connections to ports.
type tunnels func(port uint16) (net.Conn, error)

// floorTunnels are what one writes first: the usual library over the usual
// adapter.
func floorTunnels(b *testing.B, address string) tunnels {
	b.Helper()
	ctx := b.Context()
	conn, _, err := websocket.Dial(ctx, "http://"+address+"/box/tunnel", &websocket.DialOptions{CompressionMode: websocket.CompressionDisabled})
	if err != nil {
		b.Fatal(err)
	}
	cfg := yamux.DefaultConfig()
	cfg.LogOutput, cfg.Logger = nil, log.New(io.Discard, "", 0)
	session, err := yamux.Client(websocket.NetConn(ctx, conn, websocket.MessageBinary), cfg)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { session.Close() })
	return func(port uint16) (net.Conn, error) {
		st, err := session.OpenStream()
		if err != nil {
			return nil, err
		}
		if _, err := st.Write(binary.BigEndian.AppendUint16([]byte{1}, port)); err != nil {
			return nil, err
		}
		var status [1]byte
		_, err = io.ReadFull(st, status[:])
		return st, err
	}
}

func sdkTunnels(b *testing.B, address string) tunnels {
	b.Helper()
	sb, err := connect(b.Context(), address)
	if err != nil {
		b.Fatal(err)
	}
	return sdkTunnelsOf(b, sb)
}

func sdkTunnelsOf(b *testing.B, sb *sandboxclient.Sandbox) tunnels {
	b.Helper()
	dial := func(port uint16) (net.Conn, error) {
		return sb.DialContext(b.Context(), "tcp", fmt.Sprintf("localhost:%d", port))
	}
	// Keeps the connection to the sandbox, as the floor's session does.
	keep, err := dial(portEcho)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { keep.Close() })
	return dial
}

// down reads size bytes.
func (dial tunnels) down(size int64) error {
	conn, err := dial(portSource)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.Write(binary.BigEndian.AppendUint64(nil, uint64(size))); err != nil {
		return err
	}
	buf := make([]byte, 64<<10)
	for got := int64(0); got < size; {
		n, err := conn.Read(buf)
		if got += int64(n); err != nil {
			return expect(got, size, err)
		}
	}
	return nil
}

// up writes size bytes, in blocks. The last byte of each direction says that
// it was all.
func (dial tunnels) up(size int64, block int) error {
	conn, err := dial(portSink)
	if err != nil {
		return err
	}
	defer conn.Close()
	buf := make([]byte, block)
	for left := size; left > 0; left -= int64(block) {
		if _, err := conn.Write(buf); err != nil {
			return err
		}
	}
	if err := closeWrite(conn); err != nil {
		return err
	}
	_, err = io.ReadFull(conn, buf[:1])
	return err
}

// closeWrite ends the sending side: that is what Close does in yamux.
func closeWrite(conn net.Conn) error {
	if half, ok := conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return conn.Close()
}

// echo sends size bytes and reads them back.
func (dial tunnels) echo(size int64) error {
	conn, err := dial(portEcho)
	if err != nil {
		return err
	}
	defer conn.Close()
	sent := make(chan error, 1)
	go func() {
		block := make([]byte, 32<<10)
		for left := size; left > 0; left -= int64(len(block)) {
			if _, err := conn.Write(block[:min(left, int64(len(block)))]); err != nil {
				sent <- err
				return
			}
		}
		sent <- nil
	}()
	if n, err := io.Copy(io.Discard, io.LimitReader(conn, size)); err != nil || n != size {
		return expect(n, size, err)
	}
	return <-sent
}

func BenchmarkTunnelDown(b *testing.B) {
	address := stubServer(b)
	size := int64(*mebibytes) << 21
	floor, sdk := floorTunnels(b, address), sdkTunnels(b, address)
	p := pair{bytes: size, units: int(size >> 15), unit: "32KiB"}
	p.floor = func() error { return floor.down(size) }
	p.sdk = func() error { return sdk.down(size) }
	p.run(b)
}

func BenchmarkTunnelUp(b *testing.B) {
	for _, block := range []int{32 << 10, 4 << 10} {
		b.Run(fmt.Sprintf("%dk", block>>10), func(b *testing.B) {
			address := stubServer(b)
			size := int64(*mebibytes) << 20
			floor, sdk := floorTunnels(b, address), sdkTunnels(b, address)
			p := pair{bytes: size, units: int(size) / block, unit: "write"}
			p.floor = func() error { return floor.up(size, block) }
			p.sdk = func() error { return sdk.up(size, block) }
			p.run(b)
		})
	}
}

func BenchmarkTunnelParallel(b *testing.B) {
	const streams = 32
	address := stubServer(b)
	size := int64(*mebibytes) << 20 / streams
	parallel := func(dial tunnels) func() error {
		return func() error {
			errs := make(chan error, streams)
			var all sync.WaitGroup
			for range streams {
				all.Go(func() { errs <- dial.echo(size) })
			}
			all.Wait()
			for range streams {
				if err := <-errs; err != nil {
					return err
				}
			}
			return nil
		}
	}
	p := pair{bytes: size * streams, units: int(size * streams >> 15), unit: "32KiB"}
	p.floor = parallel(floorTunnels(b, address))
	p.sdk = parallel(sdkTunnels(b, address))
	p.run(b)
}

func BenchmarkTunnelEcho(b *testing.B) {
	const trips = 500
	address := stubServer(b)
	p := pair{units: trips, unit: "trip"}
	trip := func(dial tunnels) func() error {
		conn, err := dial(portEcho)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { conn.Close() })
		buf := make([]byte, 64)
		return func() error {
			for range trips {
				if _, err := conn.Write(buf); err != nil {
					return err
				}
				if _, err := io.ReadFull(conn, buf); err != nil {
					return err
				}
			}
			return nil
		}
	}
	p.floor = trip(floorTunnels(b, address))
	p.sdk = trip(sdkTunnels(b, address))
	p.run(b)
}

func BenchmarkTunnelOpen(b *testing.B) {
	const opens = 500
	address := stubServer(b)
	p := pair{units: opens, unit: "open"}
	open := func(dial tunnels) func() error {
		return func() error {
			for range opens {
				conn, err := dial(portEcho)
				if err != nil {
					return err
				}
				if err := conn.Close(); err != nil {
					return err
				}
			}
			return nil
		}
	}
	p.floor = open(floorTunnels(b, address))
	p.sdk = open(sdkTunnels(b, address))
	p.run(b)
}

// BenchmarkTunnelDelayed reads over a connection with a round trip of 20 ms.
func BenchmarkTunnelDelayed(b *testing.B) {
	address := relay(b, stubServer(b), 10*time.Millisecond)
	size := int64(*mebibytes) << 20
	floor, sdk := floorTunnels(b, address), sdkTunnels(b, address)
	p := pair{bytes: size, units: int(size >> 15), unit: "32KiB"}
	p.floor = func() error { return floor.down(size / 8) }
	p.sdk = func() error { return sdk.down(size) }
	p.weight = 8
	p.run(b)
}

// relay passes everything on after a while.
func relay(b *testing.B, to string, delay time.Duration) string {
	b.Helper()
	c := child(b, roleRelay, "RELAY_TO="+to, "RELAY_DELAY="+delay.String())
	return serverOf(b, c)
}
