package sandboxserver

import (
	"errors"
	"io/fs"
	"slices"
	"testing"

	"github.com/langsandbox/sandbox-go/gen"
	"github.com/langsandbox/sandbox-go/internal/runtime"
)

func TestExecuteRefusals(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	s := b.box(map[string]any{"name": "x"})
	for body, words := range map[string]string{
		`{}`:                                   "command is required",
		`{"command":""}`:                       "command must not be empty",
		`{"command":"x","timeout":-1}`:         "timeout must be at least 0",
		`{"command":"x","timeout_seconds":-1}`: "timeout_seconds must be at least 0",
		`{"command":"x","timeout_seconds":"soon"}`: "timeout_seconds is out of range",
		`{"command":"x","env":{"a":1}}`:            "env.a must be a string",
		`{"command":"x","env":{"":"1"}}`:           "env",
		`{"command":"x","env":{"A=B":"1"}}`:        "env",
		`{"command":"x\u0000"}`:                    "zero byte",
		`{"command":`:                              "not valid JSON",
	} {
		b.refused(b.execute(s, body), 422, "", words)
	}
	b.refused(b.do(request("POST", "/dp/unknown/execute", `{"command":"x"}`)), 404, codeNotFound)
	b.refused(b.do(request("POST", "/v2/sandboxes/unknown/execute", `{"command":"x"}`)), 404, codeNotFound)
}

func TestExecuteShells(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	s := b.box(map[string]any{})
	var tried []string
	missing := map[string]bool{"/bin/bash": true}
	var env []string
	b.fake.exec = func(box *fakeBox, cmd runtime.Command) (runtime.Process, error) {
		tried, env = append(tried, cmd.Args[0]), cmd.Env
		if missing[cmd.Args[0]] {
			return nil, &fs.PathError{Op: "exec", Path: cmd.Args[0], Err: fs.ErrNotExist}
		}
		return &fakeProcess{box: box, status: &runtime.ExitStatus{Code: 7}}, nil
	}
	for _, shell := range []string{"", "/bin/bash"} {
		tried = nil
		got := decode[gen.ExecuteResult](t, b.execute(s, map[string]any{"command": "x", "shell": shell, "env": map[string]string{"B": "2", "A": "1"}}))
		if *got.ExitCode != 7 || !slices.Equal(tried, []string{"/bin/bash", "/bin/sh"}) || !slices.Equal(env, []string{"A=1", "B=2"}) {
			t.Errorf("%+v %v %v", got, tried, env)
		}
	}
	missing["/bin/sh"], missing["/bin/zsh"] = true, true
	b.refused(b.execute(s, map[string]any{"command": "x"}), 400, codeCommand, "/bin/bash")
	tried = nil
	b.refused(b.execute(s, map[string]any{"command": "x", "shell": "/bin/zsh"}), 400, codeCommand, "/bin/zsh")
	if len(tried) != 1 {
		t.Errorf("a shell that was asked for is replaced: %v", tried)
	}
}

func TestExecuteProblems(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	s := b.box(map[string]any{"name": "x"})
	for _, c := range []struct {
		err    error
		status int
		code   string
		words  string
	}{
		{&fs.PathError{Op: "chdir", Path: "/a", Err: fs.ErrNotExist}, 400, codeCommand, "working directory"},
		{fs.ErrPermission, 400, codeCommand, "cannot be executed"},
		{runtime.ErrClosed, 400, codeNotReady, "ended"},
		{errors.New("argument list too long"), 400, codeCommand, "too long"},
	} {
		b.fake.exec = func(*fakeBox, runtime.Command) (runtime.Process, error) { return nil, c.err }
		a := b.execute(s, map[string]any{"command": "x"})
		b.refused(a, c.status, c.code, c.words)
		if a.header.Get("X-Should-Retry") != "false" {
			t.Error("clients may repeat the command")
		}
	}
	b.fake.exec = nil
	ended := make(chan answer)
	go func() { ended <- b.execute(s, map[string]any{"command": "wait", "timeout": 0}) }()
	eventually(t, "the command runs", func() bool {
		b.server.engine.mu.Lock()
		defer b.server.engine.mu.Unlock()
		return b.server.engine.boxes.byName["x"].busy == 2 // the request and its command
	})
	b.want(204, "POST", "/boxes/x/stop", nil)
	b.refused(<-ended, 400, codeNotReady, "ended while")
}

// TestExecuteIsACommandOfTheStream has what both share: settings, ids, and that
// nothing of it is kept.
func TestExecuteIsACommandOfTheStream(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	s := b.box(map[string]any{"name": "x"})
	var ran []runtime.Command
	b.fake.exec = func(box *fakeBox, cmd runtime.Command) (runtime.Process, error) {
		ran = append(ran, cmd)
		return &fakeProcess{box: box, status: &runtime.ExitStatus{Code: 1}}, nil
	}
	config := map[string]any{"user": "root", "work_dir": "/srv", "env_vars": map[string]string{"A": "1"}}
	for range 2 { // there are no command ids here: each request runs a command
		b.execute(s, map[string]any{"command": "x", "run_config": config, "command_id": "same"})
	}
	if len(ran) != 2 || ran[0].Dir != "/srv" || !slices.Equal(ran[0].Env, []string{"A=1"}) || ran[0].TTY != nil {
		t.Errorf("%+v", ran)
	}
	b.refused(b.execute(s, map[string]any{"command": "x", "cwd": "/", "run_config": config}), 400, codeValidation, "run_config excludes")
	b.refused(b.execute(s, map[string]any{"command": "x", "run_config": map[string]any{"work_dir": "srv"}}), 422, "", "absolute")
	b.refused(b.execute(s, map[string]any{"command": "x", "run_config": map[string]any{"user": "app"}}), 400, codeCommand, "besides root")
	b.refused(b.execute(s, map[string]any{"command": "x", "cwd": "\x00"}), 422, "", "zero byte")
	eventually(t, "the commands have ended", func() bool {
		b.server.engine.mu.Lock()
		defer b.server.engine.mu.Unlock()
		return b.server.engine.boxes.byName["x"].busy == 0
	})
}
