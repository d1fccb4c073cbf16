package sandboxagent

import (
	"errors"
	"io"
	"os"
	"os/signal"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/langsandbox/sandbox-go/internal/sandboxagent/proctree"
)

// GuardMarker is the environment entry that makes a process with Name wait for
// the end of its standard input, which is that of a server, and then kill what
// the server's commands have left. Its one argument is the cookie that they
// all have in their environments, and nobody else.
const GuardMarker = "SANDBOX_GUARD=1"

// minCookie is how much of a cookie makes sure that it is nobody else's.
const minCookie = 26

// guard is the whole life of a process that outlives its server.
func guard() error {
	if len(os.Args) != 2 || !strings.HasPrefix(os.Args[1], CookieKey) || len(os.Args[1]) < len(CookieKey)+minCookie {
		return errors.New("not started by a sandbox server")
	}
	signal.Ignore(unix.SIGHUP, unix.SIGINT, unix.SIGTERM) // they are for the server
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return err
	}
	return proctree.Tree{Cookie: os.Args[1]}.Kill()
}
