//go:build unix

package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

// TestNobodyReads: output into a pipe that is closed ends each command as it
// ends others, and without a word.
func TestNobodyReads(t *testing.T) {
	t.Parallel()
	env, c := embedded(t)
	mustRun(t, env, "create --name box")
	box, err := c.Get(t.Context(), "box")
	if err != nil {
		t.Fatal(err)
	}
	if err := box.WriteFile(t.Context(), "big", bytes.Repeat([]byte("x\n"), 1<<20)); err != nil {
		t.Fatal(err)
	}
	job := mustRun(t, env, "exec --detach box -- seq 100000")
	for _, line := range []string{
		"ls", "ls -o json", "ls -q", "get box", "usage", "usage -o json", "ps", "version", "doctor", "doctor -o json",
		"cat box:big", "cp box:big -", "logs box " + job, "attach box " + job, "exec box -- seq 100000",
		"run --json -- seq 100000", "run -- seq 100000", "open box 80",
	} {
		t.Run(line, func(t *testing.T) {
			t.Parallel()
			cmd, temp := command(t, strings.Fields(line)...)
			for name, value := range env {
				cmd.Env = append(cmd.Env, name+"="+value)
			}
			out, in, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			out.Close()
			defer in.Close()
			var errs bytes.Buffer
			cmd.Stdout, cmd.Stderr = in, &errs
			_ = cmd.Run()
			if code := cmd.ProcessState.ExitCode(); code != 141 || errs.Len() > 0 {
				t.Errorf("exit code %d, printed %q", code, &errs)
			}
			mustBeEmpty(t, temp)
		})
	}
	t.Cleanup(func() {
		for sb, err := range c.List(t.Context(), nil) {
			if err == nil && sb.Name() != "box" {
				t.Errorf("sandbox %s is left", sb.Name())
			}
		}
	})
}
