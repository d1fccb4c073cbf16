//go:build unix

package main

import (
	"bytes"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestInterrupted: Ctrl-C ends every command that waits for the server, without
// a word but where something may have happened.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		line, held string // the request that is not answered
		unknown    bool   // what came of it
	}{
		{"ls", "GET /boxes", false},
		{"get box", "GET /boxes/box", false},
		{"create", "POST /boxes", true},
		{"wait box", "GET /boxes/box", false},
		{"start box", "GET /boxes/box", false},
		{"stop box", "POST /boxes/box/stop", true},
		{"rename box case", "PATCH /boxes/box", true},
		{"rm box", "DELETE /boxes/box", true},
		{"exec box -- true", "GET /boxes/box", false},
		{"ps box", "GET /boxes/box", false},
		{"logs box id", "GET /boxes/box", false},
		{"attach box id", "GET /boxes/box", false},
		{"kill box id", "GET /boxes/box", false},
		{"cp box:f f", "GET /boxes/box", false},
		{"cat box:f", "GET /boxes/box", false},
		{"write box:f", "GET /boxes/box", false},
		{"open box 80", "POST /boxes/box/service-url", false},
		{"tunnel box 80", "GET /boxes/box", false},
		{"snapshot create team/a host", "POST /snapshots", true},
		{"snapshot ls", "GET /snapshots", false},
		{"template ls", "GET /templates", false},
		{"volume create data", "POST /volumes", true},
		{"usage", "GET /usage", false},
	} {
		t.Run(tt.line, func(t *testing.T) {
			t.Parallel()
			method, path, _ := strings.Cut(tt.held, " ")
			came, ended := make(chan struct{}), make(chan struct{})
			defer close(ended)
			once := sync.OnceFunc(func() { close(came) })
			cmd := onServer(t, func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if r.Method == method && strings.HasSuffix(r.URL.Path, path) {
						once()
						<-ended
						return
					}
					next.ServeHTTP(w, r)
				})
			}, strings.Fields(tt.line)...)
			var out, errs bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, &errs
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			select {
			case <-came:
			case <-time.After(20 * time.Second):
				_ = cmd.Process.Kill()
				_ = cmd.Wait()
				t.Fatalf("%s was not asked for; printed %q and %q", tt.held, &out, &errs)
			}
			if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
				t.Fatal(err)
			}
			late := time.AfterFunc(20*time.Second, func() { _ = cmd.Process.Kill() })
			defer late.Stop()
			_ = cmd.Wait()
			if code := cmd.ProcessState.ExitCode(); code != 130 || out.Len() > 0 || (errs.Len() > 0) != tt.unknown {
				t.Errorf("exit code %d, printed %q and %q", code, &out, &errs)
			}
		})
	}
}
