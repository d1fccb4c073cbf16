//go:build unix

package runtime

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestCommand(t *testing.T) {
	everyMode(t, func(t *testing.T, rt Runtime) {
		box := create(t, rt, Spec{})
		if got, want := run(t, box, "pwd"), box.Home(); got != want {
			t.Errorf("working directory %q, want %q", got, want)
		}
		if got := run(t, box, `echo "$HOME"`); got != box.Home() {
			t.Errorf("HOME %q", got)
		}
		mustWrite(t, box, "/app/sub/tool", "#!/bin/sh\necho from tool\n")
		run(t, box, "chmod +x "+inside(box, "/app/sub/tool"))

		j := start(t, box, Command{Args: []string{"./tool"}, Dir: "/app/sub"})
		if got := strings.TrimSpace(j.readAll(t)); got != "from tool" {
			t.Errorf("program in the working directory: %q", got)
		}
		path := "PATH=/usr/bin:/bin:" + inside(box, "/app/sub")
		j = start(t, box, Command{Args: []string{"tool"}, Env: []string{"PATH=/nowhere", path, "A=1", "A=2"}})
		if got := strings.TrimSpace(j.readAll(t)); got != "from tool" {
			t.Errorf("program in PATH: %q", got)
		}
		j = start(t, box, Command{Args: []string{"sh", "-c", "echo $A"}, Env: []string{"A=1", "A=2"}})
		if got := strings.TrimSpace(j.readAll(t)); got != "2" {
			t.Errorf("repeated variable: %q", got)
		}
	})
}

func TestExitStatus(t *testing.T) {
	everyMode(t, func(t *testing.T, rt Runtime) {
		box := create(t, rt, Spec{})
		for script, want := range map[string]ExitStatus{
			"exit 0":     {},
			"exit 42":    {Code: 42},
			"kill -9 $$": {Code: 137, Signal: 9},
			"kill $$":    {Code: 143, Signal: 15},
		} {
			j := start(t, box, shell(script))
			if got := j.waitEnd(t); got != want {
				t.Errorf("%s: %+v, want %+v", script, got, want)
			}
			if got := j.waitEnd(t); got != want {
				t.Errorf("%s, again: %+v, want %+v", script, got, want)
			}
			if err := j.Kill(); err != nil {
				t.Errorf("%s: kill after the end: %v", script, err)
			}
		}
	})
}

func TestStdin(t *testing.T) {
	everyMode(t, func(t *testing.T, rt Runtime) {
		box := create(t, rt, Spec{})
		ours, theirs, err := InputPipe()
		if err != nil {
			t.Fatal(err)
		}
		defer ours.Close()
		j := start(t, box, Command{Args: []string{"cat"}, Stdin: theirs})
		theirs.Close()
		text := strings.Repeat("0123456789abcdef", 64<<10)
		go func() {
			io.WriteString(ours, text)
			ours.Close()
		}()
		if got := j.readAll(t); got != text {
			t.Errorf("%d bytes came back of %d", len(got), len(text))
		}
		if status := j.waitEnd(t); status.Code != 0 {
			t.Error(status)
		}
		// Without a pipe it is the null device.
		if got := run(t, box, "cat"); got != "" {
			t.Errorf("read %q from nothing", got)
		}
	})
}

func TestStartErrors(t *testing.T) {
	everyMode(t, func(t *testing.T, rt Runtime) {
		box := create(t, rt, Spec{})
		mustWrite(t, box, "/app/plain", "text")
		mustWrite(t, box, "/app/lost", "#!/no/such/interpreter\n")
		run(t, box, "chmod +x "+inside(box, "/app/lost"))
		tests := []struct {
			name string
			cmd  Command
			want error
			op   string
		}{
			{"missing program", Command{Args: []string{"no-such-program"}}, fs.ErrNotExist, "exec"},
			{"missing path", Command{Args: []string{"/no/such/program"}}, fs.ErrNotExist, "exec"},
			{"no name", Command{Args: []string{""}}, fs.ErrNotExist, "exec"},
			{"no PATH", Command{Args: []string{"sh"}, Env: []string{"PATH=/no"}}, fs.ErrNotExist, "exec"},
			{"missing interpreter", Command{Args: []string{inside(box, "/app/lost")}}, fs.ErrNotExist, ""},
			{"not executable", Command{Args: []string{inside(box, "/app/plain")}}, fs.ErrPermission, "exec"},
			{"a directory", Command{Args: []string{inside(box, "/app")}}, fs.ErrPermission, "exec"},
			{"missing directory", Command{Args: []string{"true"}, Dir: "/no/dir"}, fs.ErrNotExist, "chdir"},
			{"missing relative directory", Command{Args: []string{"true"}, Dir: "no"}, fs.ErrNotExist, "chdir"},
			{"directory is a file", Command{Args: []string{"true"}, Dir: inside(box, "/app/plain")}, nil, "chdir"},
			{"nothing", Command{}, nil, "exec"},
		}
		for _, test := range tests {
			_, err := box.Start(t.Context(), test.cmd)
			if err == nil || test.want != nil && !errors.Is(err, test.want) {
				t.Errorf("%s: %v", test.name, err)
			}
			var pathError *fs.PathError
			if test.op != "" && (!errors.As(err, &pathError) || pathError.Op != test.op) {
				t.Errorf("%s: %#v", test.name, err)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := box.Start(ctx, shell("true")); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
	})
}

func TestWaitLeavesDescendants(t *testing.T) {
	everyMode(t, func(t *testing.T, rt Runtime) {
		box := create(t, rt, Spec{})
		j := start(t, box, shell("sleep 1000 & echo started"))
		if status := j.waitEnd(t); status.Code != 0 {
			t.Error(status)
		}
		j.readLine(t)
		j.output.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
		if _, err := j.output.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("the background process is gone: %v", err)
		}
		if err := j.Kill(); err != nil {
			t.Error(err)
		}
		j.readAll(t)
	})
}

func TestWaitContext(t *testing.T) {
	everyMode(t, func(t *testing.T, rt Runtime) {
		box := create(t, rt, Spec{})
		j := start(t, box, shell("sleep 1000"))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := j.Wait(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("wait: %v", err)
		}
		if err := j.Kill(); err != nil {
			t.Error(err)
		}
		if status := j.waitEnd(t); status.Code != 137 || status.Signal != 9 {
			t.Error(status)
		}
	})
}

// runaway leaves the group and the session, by way of a parent that ends.
const runaway = `setsid sh -c '(setsid sleep 1000 & sleep 1000 &) ; sleep 1000' & sleep 1000 & echo started; wait`

func TestKillTree(t *testing.T) {
	everyMode(t, func(t *testing.T, rt Runtime) {
		box := create(t, rt, Spec{})
		other := start(t, box, shell("echo started; sleep 1000"))
		other.readLine(t)
		j := start(t, box, shell(runaway))
		j.readLine(t)
		if err := j.Kill(); err != nil {
			t.Fatal(err)
		}
		j.readAll(t) // ends with the last of them
		if status := j.waitEnd(t); status.Signal != 9 {
			t.Error(status)
		}
		// The other command was left alone.
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		if _, err := other.Wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("another command: %v", err)
		}
		if err := other.Kill(); err != nil {
			t.Error(err)
		}
	})
}

func TestKillAfterEnd(t *testing.T) {
	everyMode(t, func(t *testing.T, rt Runtime) {
		box := create(t, rt, Spec{})
		j := start(t, box, shell("setsid sleep 1000 & echo started"))
		j.readLine(t)
		j.waitEnd(t)
		if err := j.Kill(); err != nil {
			t.Fatal(err)
		}
		j.readAll(t)
	})
}

// TestKillForking kills while the tree grows.
func TestKillForking(t *testing.T) {
	everyMode(t, func(t *testing.T, rt Runtime) {
		box := create(t, rt, Spec{})
		mustWrite(t, box, "/app/grow", "n=$1\n[ $n = 0 ] && exec sleep 1000\necho $n\n"+
			"for i in 1 2; do setsid sh "+inside(box, "/app/grow")+" $((n-1)) & done\nexec sleep 1000\n")
		j := start(t, box, shell("sh "+inside(box, "/app/grow")+" 6"))
		j.readLine(t)
		if err := j.Kill(); err != nil {
			t.Fatal(err)
		}
		j.readAll(t)
	})
}

func TestConcurrentCommands(t *testing.T) {
	everyMode(t, func(t *testing.T, rt Runtime) {
		box := create(t, rt, Spec{})
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				for i := range 10 {
					process, err := box.Start(t.Context(), Command{Args: []string{"sh", "-c", "exit $CODE"}, Env: []string{"CODE=" + string(rune('0'+i))}})
					if err != nil {
						t.Error(err)
						return
					}
					if status, err := process.Wait(t.Context()); err != nil || status.Code != i {
						t.Errorf("%+v, %v, want %d", status, err, i)
					}
				}
			})
		}
		all.Wait()
	})
}

func TestLargeCommand(t *testing.T) {
	everyMode(t, func(t *testing.T, rt Runtime) {
		box := create(t, rt, Spec{})
		var env []string
		for i := range 8 {
			env = append(env, "BIG"+string(rune('0'+i))+"="+strings.Repeat("x", 100<<10))
		}
		j := start(t, box, Command{Args: []string{"sh", "-c", "echo ${#BIG0} ${#BIG7}"}, Env: env})
		if got := strings.TrimSpace(j.readAll(t)); got != "102400 102400" {
			t.Errorf("got %q", got)
		}
		_, err := box.Start(t.Context(), Command{Args: []string{"true"}, Env: []string{"BIG=" + strings.Repeat("x", 20<<20)}})
		if err == nil {
			t.Error("20 MiB of environment")
		}
	})
}
