package image

import (
	"errors"
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// TestBoot: what other tools write into images, and no process can have, is no
// reason not to start one.
func TestBoot(t *testing.T) {
	t.Parallel()
	b, err := boot(&v1.ConfigFile{Config: v1.Config{
		WorkingDir: "app/./src", Env: []string{"A=b=c", "ALONE", "=x", "", "B="},
	}}, nil)
	if err != nil || b.WorkingDir != "/app/src" || !slices.Equal(b.Env, []string{"A=b=c", "B="}) {
		t.Errorf("%+v %v", b, err)
	}
	if b, err = boot(&v1.ConfigFile{}, nil); err != nil || b.WorkingDir != "" {
		t.Errorf("%+v %v", b, err)
	}
}

// TestBootIsBounded: what each command gets has to fit into a message.
func TestBootIsBounded(t *testing.T) {
	t.Parallel()
	much := slices.Repeat([]string{"NAME=0123456789"}, 10_000)
	for name, c := range map[string]v1.Config{
		"environment": {Env: much}, "command": {Cmd: much}, "entry point": {Entrypoint: much}, "directory": {WorkingDir: strings.Repeat("x/", 100_000)},
	} {
		if _, err := boot(&v1.ConfigFile{Config: c}, nil); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
