package sandboxtest_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/langsandbox/sandbox-go/sandboxclient"
	"github.com/langsandbox/sandbox-go/sandboxserver"
	"github.com/langsandbox/sandbox-go/sandboxtest"
)

// taping is a client of a local server whose session is taped at path.
func taping(tb testing.TB, path string, opts ...sandboxtest.TapeOption) *sandboxclient.Client {
	tb.Helper()
	next := &http.Transport{}
	tb.Cleanup(next.CloseIdleConnections)
	client, _ := sandboxtest.New(tb,
		sandboxtest.WithConfig(func(c *sandboxserver.Config) { c.APIKey = "the-key-of-the-server" }),
		sandboxtest.WithClient(sandboxclient.WithHTTPClient(&http.Client{Transport: sandboxtest.Record(tb, path, next, opts...)})))
	return client
}

// replaying is a client of a tape, with no server anywhere.
func replaying(tb testing.TB, path string, opts ...sandboxtest.TapeOption) *sandboxclient.Client {
	tb.Helper()
	client, err := sandboxclient.New(
		sandboxclient.WithEnvironment(func(string) string { return "" }),
		sandboxclient.WithEndpoint(sandboxtest.ReplayEndpoint), sandboxclient.WithAPIKey("any"),
		sandboxclient.WithHTTPClient(&http.Client{Transport: sandboxtest.Replay(tb, path, opts...)}),
	)
	if err != nil {
		tb.Fatal(err)
	}
	return client
}

// within runs a part of a test to its end, what it cleans up included.
func within(t *testing.T, part func(*testing.T)) {
	t.Helper()
	t.Run("part", part)
}

// session is a test that runs on a server and on its tape alike.
func session(tb testing.TB, client *sandboxclient.Client) string {
	tb.Helper()
	ctx := tb.Context()
	var seen strings.Builder
	err := client.Use(ctx, &sandboxclient.CreateSandbox{EnvVars: map[string]string{"PASSPHRASE": "correct horse battery"}},
		func(ctx context.Context, sb *sandboxclient.Sandbox) error {
			result, err := sb.Run(ctx, `echo "$PASSPHRASE" >&2; for i in 1 2 3; do echo step $i; done; exit 3`, nil)
			if err != nil {
				return err
			}
			seen.WriteString(result.Stdout + string(rune('0'+result.ExitCode)))
			for chunk, err := range sb.Shell("printf 'one\ntwo\n'").Stream(ctx) {
				if err != nil {
					return err
				}
				seen.Write(chunk.Data)
			}
			echo := sb.Shell("cat")
			echo.Stdin = strings.NewReader("to and fro")
			out, err := echo.Output(ctx)
			seen.Write(out)
			return errors.Join(err, transfer(ctx, sb, &seen))
		})
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := client.Get(ctx, "none"); !errors.Is(err, sandboxclient.ErrNotFound) {
		tb.Fatal(err)
	}
	return seen.String()
}

func transfer(ctx context.Context, sb *sandboxclient.Sandbox, seen io.Writer) error {
	big := bytes.Repeat([]byte("\x00\xff0123456789abcdef"), 8<<10)
	err := sb.WriteFile(ctx, "big", big)
	if err != nil {
		return err
	}
	got, err := sb.ReadFile(ctx, "big")
	if err == nil && !bytes.Equal(got, big) {
		err = errors.New("the file came back otherwise")
	}
	r, openErr := sb.Download(ctx, "big", &sandboxclient.DownloadOptions{Range: sandboxclient.RangePart(2, 10)})
	if openErr != nil {
		return errors.Join(err, openErr)
	}
	_, copyErr := io.Copy(seen, r)
	return errors.Join(err, copyErr, r.Close())
}

func TestSessionIsTapedAndReplayed(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "tapes", "session.tape")
	var live string
	within(t, func(t *testing.T) { live = session(t, taping(t, path)) })
	for range 2 {
		within(t, func(t *testing.T) {
			if got := session(t, replaying(t, path)); got != live {
				t.Errorf("replayed %q, was %q", got, live)
			}
		})
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"the-key-of-the-server", "correct horse", "User-Agent", "langsandbox-go"} {
		if bytes.Contains(raw, []byte(secret)) {
			t.Errorf("the tape has %q", secret)
		}
	}
	if !bytes.Contains(raw, []byte("REDACTED")) || !bytes.HasPrefix(raw, []byte(`{"tape":"langsandbox tape","version":1}`+"\n")) {
		t.Errorf("tape:\n%.500s", raw)
	}
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(path), ".*")); err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
}

// TestCommandsAtOnce: which command asks first is another matter on replay.
func TestCommandsAtOnce(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "once.tape")
	scripts := []string{"echo a", "echo b", "echo c", "echo d", "echo e"}
	run := func(t *testing.T, client *sandboxclient.Client) {
		sb, err := client.Create(t.Context(), &sandboxclient.CreateSandbox{Name: "once"})
		if err != nil {
			t.Fatal(err)
		}
		var all sync.WaitGroup
		for _, script := range scripts {
			all.Go(func() {
				result, err := sb.Run(t.Context(), script, nil)
				if err != nil || "echo "+result.Stdout != script+"\n" {
					t.Errorf("%s: %+v, %v", script, result, err)
				}
				info, err := sb.Execute(t.Context(), script, nil)
				if err != nil || "echo "+info.Stdout != script+"\n" {
					t.Errorf("%s: %+v, %v", script, info, err)
				}
			})
		}
		all.Wait()
		if err := sb.Delete(t.Context()); err != nil {
			t.Error(err)
		}
	}
	within(t, func(t *testing.T) { run(t, taping(t, path)) })
	within(t, func(t *testing.T) { run(t, replaying(t, path)) })
}
