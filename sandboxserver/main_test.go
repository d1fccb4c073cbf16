package sandboxserver

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"testing"

	"github.com/coder/websocket"

	"github.com/langsandbox/sandbox-go/internal/leaktest"
)

func TestMain(m *testing.M) {
	if os.Getenv(serviceKeyVar) != "" {
		if err := actAsService(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if dir := os.Getenv(crashDirVar); dir != "" {
		if err := actAsServer(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(leaktest.Run(m))
}

// crashDirVar makes this program a server in a directory, until it is killed.
const crashDirVar = "CRASH_TEST_DIR"

func actAsServer(dir string) error {
	ignoreFileSize()
	server, err := New(Config{APIKey: testKey, Dir: dir, MinIsolation: IsolationProcess})
	if err != nil {
		return err
	}
	http := httptest.NewServer(server)
	fmt.Println(http.URL)
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); fmt.Println() {
		if err := dieAtWrite(server.engine.records, lines.Text()); err != nil {
			return err
		}
	}
	// A clean end, as nobody has killed it.
	http.Close()
	return server.Close()
}

// dieAtWrite has this program kill itself at a write to come: -1 is right
// before the next one, and 1 right after it.
func dieAtWrite(r *records, which string) error {
	at, err := strconv.Atoi(which)
	if err != nil {
		return err
	}
	die := func(now bool) {
		if self, err := os.FindProcess(os.Getpid()); now && errors.Join(err, self.Kill()) == nil {
			select {} // it comes
		}
	}
	writes := 0
	r.mu.Lock()
	defer r.mu.Unlock()
	r.write = func(changes ...change) error {
		writes++
		die(at == -writes)
		err := r.file.write(changes...)
		die(at == writes)
		return err
	}
	return nil
}

// serviceKeyVar makes this program the service of a test.
const serviceKeyVar = "SERVICE_TEST_ANSWER"

// actAsService listens, tells its port, and answers: to a WebSocket with what
// it gets.
func actAsService() error {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/echo" {
			fmt.Fprint(w, os.Getenv(serviceKeyVar), " ", r.URL.Path)
			return
		}
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer conn.CloseNow()
		for {
			kind, data, err := conn.Read(r.Context())
			if err != nil || conn.Write(r.Context(), kind, data) != nil {
				return
			}
		}
	}))
	defer server.Close()
	fmt.Println(server.Listener.Addr())
	_, err := io.Copy(io.Discard, os.Stdin)
	return err
}
