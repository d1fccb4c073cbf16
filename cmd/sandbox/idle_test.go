package main

import (
	"bytes"
	"context"
	"io"
	"strings"
	"sync"
	"testing"
	"time"
)

// idle is input that does not come.
type idle struct {
	asked func()
	until chan struct{}
}

func (i idle) Read([]byte) (int, error) {
	i.asked()
	<-i.until
	return 0, io.EOF
}

// TestIdleInput: what waits for its input ends with the context.
func TestIdleInput(t *testing.T) {
	t.Parallel()
	env, _ := embedded(t)
	mustRun(t, env, "create --name box")
	for _, line := range []string{
		"write box:f", "cp - box:f", "exec -i box -- cat", "run -i -- cat", "registry create depot r.example.com --password-stdin",
	} {
		t.Run(line, func(t *testing.T) {
			t.Parallel()
			asked := make(chan struct{})
			in := idle{sync.OnceFunc(func() { close(asked) }), make(chan struct{})}
			defer close(in.until)
			var errs bytes.Buffer
			a := &app{in: in, out: io.Discard, err: &errs, getenv: func(key string) string { return env[key] }}
			cmd := a.command()
			cmd.SetArgs(strings.Fields(line))
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			ended := make(chan error, 1)
			go func() { ended <- cmd.ExecuteContext(ctx) }()
			for stage, c := range []<-chan struct{}{asked, nil} {
				if stage == 1 {
					cancel()
				}
				select {
				case <-c:
				case err := <-ended:
					if stage == 0 || err == nil {
						t.Fatalf("ended with %v; printed %q", err, &errs)
					}
				case <-time.After(20 * time.Second):
					t.Fatal("still waits")
				}
			}
		})
	}
}
