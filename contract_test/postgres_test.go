package contract_test

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/langsandbox/sandbox-go/sandboxclient"
	"github.com/langsandbox/sandbox-go/sandboxtest"
)

// postgresScript runs a server on port 5432 of the sandbox. It does not run as
// root.
const postgresScript = `
set -e
bin=$(dirname "$(readlink -f "$(command -v postgres)")")
grep -q :1000: /etc/passwd || echo 'me:x:1000:1000::/tmp/pg:/bin/sh' >> /etc/passwd
mkdir -p /tmp/pg && chown 1000:1000 /tmp/pg && cd /tmp/pg
as() { perl -e '$) = "1000 1000"; $( = 1000; $< = $> = 1000; $> == 1000 or die "user: $!\n"; exec @ARGV or die "$ARGV[0]: $!\n"' "$@"; }
as "$bin/initdb" -D /tmp/pg/data -U me -A trust --no-sync >/dev/null
as "$bin/postgres" -D /tmp/pg/data -p 5432 -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off
`

// TestPostgres has a database in a sandbox, and a client of it here.
func TestPostgres(t *testing.T) {
	t.Parallel()
	client, err := exec.LookPath("psql")
	if err != nil {
		t.Skip("there is no psql here")
	}
	if _, err := exec.LookPath("postgres"); err != nil {
		t.Skip("there is no postgres here")
	}
	c, server := sandboxtest.New(t)
	if server.Isolation() == "process" {
		t.Skip("without isolation its port would be that of this machine")
	}
	sb := ready(t, c)
	if result, err := sb.Run(t.Context(), "command -v perl postgres && id -u && chown 1000:1000 $(mktemp)", nil); err != nil {
		t.Skipf("sandboxes have no postgres, or one user only: %v, %+v", err, result)
	}
	cmd := sb.Shell(postgresScript)
	var log strings.Builder
	cmd.Stdout, cmd.Stderr, cmd.Timeout = &log, &log, -1
	process, err := cmd.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = process.Kill(context.WithoutCancel(t.Context()))
		_ = process.Wait()
		if t.Failed() {
			t.Log(log.String())
		}
	}()
	awaitPostgres(t, sb)

	tunnel, err := sb.Tunnel(t.Context(), 5432, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tunnel.Close()
	_, port, _ := net.SplitHostPort(tunnel.Addr().String())
	psql := exec.CommandContext(t.Context(), client, "-h", "127.0.0.1", "-p", port, "-U", "me", "-d", "postgres", "-Atc",
		"create table t as select generate_series(1, 100000) n, repeat('x', 100) s; select count(*), sum(n), sum(length(s)) from t")
	psql.Env = append(os.Environ(), "PGSSLMODE=prefer", "PGCONNECT_TIMEOUT=30")
	if out, err := psql.CombinedOutput(); err != nil || !strings.Contains(string(out), "100000|5000050000|10000000") {
		t.Errorf("%v: %s", err, out)
	}
	if got := query(t, sb, "select sum(n) from t"); !strings.Contains(got, "5000050000") {
		t.Errorf("answer %q", got)
	}
	if got := query(t, sb, "select s from t"); strings.Count(got, strings.Repeat("x", 100)) != 100000 {
		t.Errorf("%d bytes of answer", len(got))
	}
}

func awaitPostgres(t *testing.T, sb *sandboxclient.Sandbox) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for ; ; time.Sleep(100 * time.Millisecond) {
		conn, err := sb.DialContext(t.Context(), "tcp", "localhost:5432")
		if err == nil {
			conn.Close()
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// query speaks just enough of the database's protocol for one question.
func query(t *testing.T, sb *sandboxclient.Sandbox, sql string) string {
	t.Helper()
	conn, err := sb.DialContext(t.Context(), "tcp", "localhost:5432")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(time.Minute))
	message := func(kind string, body string) {
		b := binary.BigEndian.AppendUint32([]byte(kind), uint32(len(body)+4))
		if _, err := conn.Write(append(b, body...)); err != nil {
			t.Fatal(err)
		}
	}
	message("", "\x00\x03\x00\x00user\x00me\x00database\x00postgres\x00\x00")
	message("Q", sql+"\x00")
	message("X", "")
	answer, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	return string(answer)
}
