package main

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// serving starts sandbox serve, whose state is in a directory.
func serving(t *testing.T, state string) (cmd *exec.Cmd, endpoint string) {
	t.Helper()
	cmd, _ = command(t, "serve", "--min-isolation", "process")
	cmd.Env = append(cmd.Env, "XDG_STATE_HOME="+state)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if cmd.ProcessState == nil {
			_ = cmd.Process.Signal(syscall.SIGTERM)
			_ = cmd.Wait()
		}
	})
	for lines := bufio.NewScanner(out); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), "=")
		if name == "LANGSMITH_API_KEY" {
			return cmd, endpoint
		}
		endpoint = value
	}
	t.Fatal("no server")
	return nil, ""
}

// TestLocal: commands find the server of this machine, and only while it is
// there.
func TestLocal(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	none := map[string]string{"XDG_STATE_HOME": state}
	elsewhere := map[string]string{"XDG_STATE_HOME": state, "LANGSMITH_API_KEY": "key", "LANGSMITH_ENDPOINT": "http://127.0.0.1:1"}
	server, endpoint := serving(t, state)

	mustRun(t, none, "create --name box")
	if got := mustRun(t, elsewhere, "--local ls -q"); got != "box" {
		t.Errorf("--local: %q", got)
	}
	if got := mustRun(t, elsewhere, "--local --endpoint "+endpoint+"/ exec box -- echo here"); got != "here" {
		t.Errorf("--local --endpoint: %q", got)
	}
	if got, _ := offered(t, none, "get", ""); len(got) != 1 || got[0] != "box" {
		t.Errorf("completed with %q", got)
	}
	code, _, errs := try(none, "run", "--keep", "--", "true")
	if code != 0 || !strings.Contains(errs, "is kept") || mustRun(t, none, "ls -q") == "box" {
		t.Errorf("run --keep: code %d, %s", code, errs)
	}
	if code, _, errs = try(none, "--local", "--endpoint", "http://127.0.0.1:1", "ls"); code != exitFailed ||
		!strings.Contains(errs, "at http://127.0.0.1:1 there is none of this user") {
		t.Errorf("another one: code %d, %s", code, errs)
	}
	onlyMine(t, state)

	second, other := serving(t, state)
	if code, _, errs = try(none, "ls"); code != exitFailed || !strings.Contains(errs, "several servers") || !strings.Contains(errs, other) {
		t.Errorf("two servers: code %d, %s", code, errs)
	}
	if got := mustRun(t, none, "--local --endpoint "+other+" ls -q"); got != "" {
		t.Errorf("the second one has %q", got)
	}
	// One that is killed leaves its file, which the next command removes.
	_ = second.Process.Kill()
	_ = second.Wait()
	mustRun(t, none, "get box")
	if err := server.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := server.Wait(); err != nil {
		t.Error(err)
	}
	mustBeEmpty(t, filepath.Join(state, "sandbox", "servers"))
	if code, _, errs = try(none, "ls"); code != exitFailed || !strings.Contains(errs, "start one with sandbox serve") {
		t.Errorf("no server: code %d, %s", code, errs)
	}
}

// onlyMine: nobody else reads the keys.
func onlyMine(t *testing.T, state string) {
	t.Helper()
	err := filepath.Walk(state, func(name string, info os.FileInfo, err error) error {
		if err == nil && name != state && info.Mode().Perm()&0o77 != 0 {
			t.Errorf("%s has mode %s", name, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// TestNotServed: what is no word of a server is left alone.
func TestNotServed(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("there is no local runtime on Windows")
	}
	state := t.TempDir()
	a := &app{getenv: func(key string) string { return map[string]string{"XDG_STATE_HOME": state}[key] }}
	withdraw, err := a.announce(served{"http://127.0.0.1:1", "key"})
	if err != nil {
		t.Fatal(err)
	}
	note := filepath.Join(state, "sandbox", "servers", "note")
	if err := os.WriteFile(note, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err := a.servedHere(""); err != nil || s.Key != "key" {
		t.Errorf("%v, %v", s, err)
	}
	withdraw()
	if s, err := a.servedHere(""); err == nil {
		t.Errorf("found %v", s)
	}
	if _, err := os.Stat(note); err != nil {
		t.Error(err)
	}
}
