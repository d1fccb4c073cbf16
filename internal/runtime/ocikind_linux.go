package runtime

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
)

// newOCI returns the runtime if a trial sandbox works.
func newOCI(cfg Config) (Runtime, error) {
	if cfg.OCI == "" {
		return nil, errNoOCI
	}
	command, kind, err := findOCI(cfg.OCI)
	var rt Runtime
	switch {
	case err != nil:
	case kind.ownKernel:
		rt, err = openOCI(cfg, command)
	default:
		rt, err = newContainers(cfg, command, kind)
	}
	_, weak := errors.AsType[*WeakError](err)
	switch {
	case err == nil:
		return rt, nil
	case weak:
		return nil, err
	case errors.Is(err, ErrUnsupported):
		return nil, fmt.Errorf("OCI runtime %q: %w", cfg.OCI, err)
	}
	return nil, fmt.Errorf("%w: OCI runtime %q: %w", ErrUnsupported, cfg.OCI, err)
}

// ociKind is a kind of program that makes containers.
type ociKind struct {
	version   string // begins what it says of itself
	ownKernel bool   // of its containers
	flags     []string
}

var ociKinds = []ociKind{
	{version: "runsc version ", ownKernel: true},
	{version: "crun version ", flags: []string{"--cgroup-manager=disabled"}},
	{version: "runc version ", flags: []string{"--rootless=true"}},
}

// errOCIKind is why a program that makes containers is not used.
var errOCIKind = errors.New("only runsc (gVisor), crun and runc are used, and it says with --version that it is none of them")

// findOCI finds a program that makes containers, and refuses one of which it is
// not known whether they have a kernel of their own. A name says nothing.
func findOCI(name string) (string, ociKind, error) {
	command, err := exec.LookPath(name)
	if err == nil {
		command, err = filepath.Abs(command)
	}
	if err != nil {
		return "", ociKind{}, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), ociEnd)
	defer cancel()
	said, err := ociCommand(ctx, command, "--version").Output()
	if err != nil {
		return "", ociKind{}, fmt.Errorf("%s --version: %w", command, err)
	}
	for _, kind := range ociKinds {
		if strings.HasPrefix(string(said), kind.version) {
			return command, kind, nil
		}
	}
	return "", ociKind{}, errOCIKind
}
