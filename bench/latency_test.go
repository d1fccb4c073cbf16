package bench

import (
	"context"
	"errors"
	"testing"

	"github.com/coder/websocket"

	"github.com/langsandbox/sandbox-go/gen"
	"github.com/langsandbox/sandbox-go/internal/wire"
)

// BenchmarkRun is a command that does next to nothing.
func BenchmarkRun(b *testing.B) {
	const runs = 50
	address := stubServer(b)
	box, err := connect(b.Context(), address)
	if err != nil {
		b.Fatal(err)
	}
	f := newFloor(address)
	p := pair{units: runs, unit: "run"}
	p.floor = func() error {
		for range runs {
			if size, err := f.run("true"); err != nil || size != 3 {
				return expect(size, 3, err)
			}
		}
		return nil
	}
	p.sdk = func() error {
		for range runs {
			result, err := box.Run(b.Context(), "true", nil)
			if err != nil {
				return err
			}
			if result.Stdout != "ok\n" {
				return errors.New("output is " + result.Stdout)
			}
		}
		return nil
	}
	p.run(b)
}

// signal is a writer that says what arrived.
type signal chan int

func (s signal) Write(p []byte) (int, error) {
	s <- len(p)
	return len(p), nil
}

// BenchmarkStdinEcho is a line to a command and back, one after the other.
func BenchmarkStdinEcho(b *testing.B) {
	const trips = 500
	line := []byte("a line of input\n")
	address := stubServer(b)
	box, err := connect(b.Context(), address)
	if err != nil {
		b.Fatal(err)
	}
	f, err := newFloor(address).start("echo")
	if err != nil {
		b.Fatal(err)
	}
	defer f.conn.CloseNow()
	if _, err := f.next(); err != nil { // started
		b.Fatal(err)
	}
	back := make(signal, 1)
	c := box.Shell("echo")
	c.OpenStdin, c.Stdout = true, back
	process, err := c.Start(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	p := pair{units: trips, unit: "trip"}
	var message []byte
	background := context.WithoutCancel(b.Context()) // one that ends costs the library a watcher
	p.floor = func() error {
		for range trips {
			message = wire.AppendInput(message[:0], line)
			if err := f.conn.Write(background, websocket.MessageText, message); err != nil {
				return err
			}
			answer, err := f.next()
			if err != nil || answer.Type != gen.FrameStdout || len(answer.Data) != len(line) {
				return expect(int64(len(answer.Data)), int64(len(line)), err)
			}
		}
		return nil
	}
	p.sdk = func() error {
		for range trips {
			if _, err := process.Write(line); err != nil {
				return err
			}
			for got := 0; got < len(line); {
				got += <-back
			}
		}
		return nil
	}
	p.run(b)
	if err := errors.Join(process.CloseWrite(), process.Wait()); err != nil {
		b.Fatal(err)
	}
}
