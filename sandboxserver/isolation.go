package sandboxserver

import (
	"errors"
	"fmt"

	"github.com/langsandbox/sandbox-go/internal/runtime"
)

// spareAgents is how many sandboxes one after the other find an agent that was
// started ahead.
const spareAgents = 2

// openRuntime starts the runtime and refuses one that isolates too little. It
// keeps its files in dir.
func openRuntime(cfg Config, dir string, keep func(id string) bool) (runtime.Runtime, error) {
	rt, err := runtime.New(runtime.Config{
		Dir: dir, Keep: keep, Isolation: runtime.Isolation(cfg.Isolation), Minimum: runtime.Isolation(cfg.MinIsolation), Logger: cfg.Logger,
		Spares: spareAgents, OCI: cfg.OCIRuntime,
	})
	weak, isWeak := errors.AsType[*runtime.WeakError](err)
	switch {
	case isWeak && weak.Best != "":
		return nil, fmt.Errorf("sandboxserver: %w: %w; to accept %q, which %s, set Config.MinIsolation to it (--min-isolation %s)",
			ErrIsolation, err, weak.Best, shares(Isolation(weak.Best)), weak.Best)
	case isWeak:
		return nil, fmt.Errorf("sandboxserver: %w: %w", ErrIsolation, err)
	case cfg.OCIRuntime != "" && errors.Is(err, runtime.ErrUnsupported):
		return nil, fmt.Errorf("sandboxserver: %w: %w", ErrIsolation, err) // nothing stands in for it
	case err != nil:
		return nil, fmt.Errorf("sandboxserver: %w", err)
	}
	return rt, nil
}

// shares says what sandboxes have in common with the host.
func shares(i Isolation) string {
	switch i {
	case IsolationProcess:
		return "shares the host's files, processes and network"
	case IsolationLandlock:
		return "shares the host's paths, process numbers and ports"
	case IsolationProcBound:
		return "shows the names of the host's processes"
	case IsolationRootless, IsolationSubordinate, IsolationRoot, IsolationNative, IsolationContainer, IsolationOCI:
	}
	return "shares the host's kernel"
}
