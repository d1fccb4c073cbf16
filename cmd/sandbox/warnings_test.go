package main

import (
	"bytes"
	"log/slog"
	"testing"
)

func TestWarnings(t *testing.T) {
	t.Parallel()
	var errs bytes.Buffer
	log := slog.New(warnings{&app{err: &errs}}).With("a", 1).WithGroup("g")
	log.Debug("an attempt", "status", 200)
	log.Info("an event")
	log.Warn("sandbox command out of reach, trying again", "command", "x")
	if got, want := errs.String(), "sandbox: sandbox command out of reach, trying again\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
