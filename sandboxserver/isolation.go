package sandboxserver

import (
	"errors"
	"fmt"

	"github.com/langsandbox/sandbox-go/internal/runtime"
)

// openRuntime starts the runtime and refuses one that isolates too little. It
// keeps its files in dir.
func openRuntime(cfg Config, dir string) (runtime.Runtime, error) {
	if cfg.Isolation != "" && cfg.Isolation.strength() < cfg.MinIsolation.strength() {
		return nil, tooWeak(cfg.Isolation, cfg.MinIsolation, nil)
	}
	ask := cfg.Isolation
	if cfg.MinIsolation == IsolationNative {
		ask = IsolationNative // nothing else would do, and its error says why
	}
	rt, err := runtime.New(runtime.Config{Dir: dir, Isolation: runtime.Isolation(ask), Logger: cfg.Logger})
	if errors.Is(err, runtime.ErrUnsupported) && cfg.Isolation == "" {
		return nil, tooWeak(IsolationProcess, cfg.MinIsolation, err)
	}
	if err != nil {
		return nil, fmt.Errorf("sandboxserver: %w", err)
	}
	return rt, nil
}

func tooWeak(have, want Isolation, reason error) error {
	err := fmt.Errorf("sandboxserver: %w: this would be %q, which shares the host's files, processes and network, "+
		"and at least %q is asked for; to accept it, set Config.MinIsolation to %q (--min-isolation %s)",
		ErrIsolation, have, want, have, have)
	if reason != nil {
		return fmt.Errorf("%w: %w", err, reason)
	}
	return err
}
