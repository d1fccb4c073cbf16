//go:build interop

package interop

import (
	"errors"
	"os/exec"
	"regexp"
	"testing"
)

// away are the lines by which an installer says that it is not here itself, or
// that its registry is out of reach. They stand alone, so that no package, path
// or message that has such a word in it hides a real failure.
var away = regexp.MustCompile(`(?m)^(?:` +
	`npm (?:error|ERR!) code (?:ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|EHOSTUNREACH)` +
	`|WARNING: Retrying \(Retry\(total=0, .*after connection broken by '(?:NewConnectionError|ConnectTimeoutError|ReadTimeoutError|ProxyError|ConnectionResetError|ProtocolError)\(.*` +
	`|sh: (?:\d+: )?(?:exec: )?python3: not found` +
	`|The virtual environment was not created successfully because ensurepip is not` +
	`)$`)

// unreachable: what installs is not here, or its registry is out of reach. A
// package that is not the pinned one is neither.
func unreachable(err error, out string) bool {
	return errors.Is(err, exec.ErrNotFound) || away.MatchString(out)
}

func TestUnreachable(t *testing.T) {
	t.Parallel()
	failed := errors.New("exit status 1")
	for name, c := range map[string]struct {
		err  error
		out  string
		want bool
	}{
		"npm is not here":     {&exec.Error{Name: "npm", Err: exec.ErrNotFound}, "", true},
		"npm has no names":    {failed, "npm error code ENOTFOUND\nnpm error syscall getaddrinfo\n", true},
		"npm of old":          {failed, "npm ERR! code ECONNREFUSED\n", true},
		"pip gives up":        {failed, "WARNING: Retrying (Retry(total=0, connect=None, read=None, redirect=None, status=None)) after connection broken by 'NewConnectionError('<pip>: Failed to establish a new connection')': /simple/langsmith/\nERROR: No matching distribution found\n", true},
		"python is not here":  {failed, "sh: 1: python3: not found\n", true},
		"python has no venv":  {failed, "The virtual environment was not created successfully because ensurepip is not\navailable.\n", true},
		"another package":     {failed, "npm error code EINTEGRITY\nnpm error sha512-a integrity checksum failed when using sha512: wanted sha512-a but got sha512-b\n", false},
		"a word in a message": {failed, "npm error code E404\nnpm error 404 'ECONNREFUSED@1' is not in this registry.\n", false},
		"pip came through":    {failed, "WARNING: Retrying (Retry(total=4, connect=None)) after connection broken by 'ReadTimeoutError(\"x\")': /simple/\nERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.\n", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := unreachable(c.err, c.out); got != c.want {
				t.Errorf("got %t for %v, %s", got, c.err, c.out)
			}
		})
	}
}
