package contract_test

import (
	"context"
	"database/sql"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lib/pq"

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
	if server.Isolation() != "native" {
		t.Skip("without namespaces its port and shared memory would be those of this machine")
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
	queryDriver(t, sb)
}

// inside dials for the driver.
type inside struct{ sb *sandboxclient.Sandbox }

func (d inside) Dial(network, address string) (net.Conn, error) {
	return d.DialTimeout(network, address, time.Minute)
}

func (d inside) DialTimeout(network, address string, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return d.DialContext(ctx, network, address)
}

func (d inside) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return d.sb.DialContext(ctx, network, address)
}

// queryDriver uses the database through database/sql, by several connections
// at once.
func queryDriver(t *testing.T, sb *sandboxclient.Sandbox) {
	t.Helper()
	connector, err := pq.NewConnector("host=localhost port=5432 user=me dbname=postgres sslmode=disable")
	if err != nil {
		t.Fatal(err)
	}
	connector.Dialer(inside{sb})
	db := sql.OpenDB(connector)
	defer db.Close()
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			var sum int
			if err := db.QueryRowContext(t.Context(), "select sum(n) from t where n <= $1", 1000).Scan(&sum); err != nil || sum != 500500 {
				t.Errorf("sum %d, %v", sum, err)
			}
		})
	}
	all.Wait()
	rows, err := db.QueryContext(t.Context(), "select s from t")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	n := 0
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil || len(text) != 100 {
			t.Fatalf("%q, %v", text, err)
		}
		n++
	}
	if err := rows.Err(); err != nil || n != 100000 {
		t.Errorf("%d rows, %v", n, err)
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
