package bench

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"testing"
)

// Roles of a child process, which is this program again: a server of its own
// neither counts among the client's allocations nor shares its memory.
const (
	roleVariable = "SANDBOX_BENCH_ROLE"
	roleStub     = "stub"
	roleMemory   = "memory"
	roleRelay    = "relay"
)

func TestMain(m *testing.M) {
	var err error
	switch os.Getenv(roleVariable) {
	case roleStub:
		err = serveStub()
	case roleMemory:
		err = reportMemory()
	case roleRelay:
		err = serveRelay()
	default:
		os.Exit(m.Run())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// serveStub serves until standard input ends, which it does with the parent.
func serveStub() error {
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	go http.Serve(l, newStub())
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}
