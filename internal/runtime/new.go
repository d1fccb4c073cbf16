package runtime

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
)

// New returns the runtime that cfg asks for. With no isolation asked for it
// is the strongest one that a trial shows to work here. What is below the
// minimum is a *WeakError.
func New(cfg Config) (Runtime, error) {
	cfg, err := cfg.complete()
	if err != nil {
		return nil, err
	}
	if cfg.OCI != "" {
		return newOCI(cfg)
	}
	list := openers
	if cfg.Isolation != "" {
		at := slices.IndexFunc(openers, func(o opener) bool { return o.class == cfg.Isolation })
		if at < 0 {
			return nil, fmt.Errorf("runtime: unknown isolation %q", cfg.Isolation)
		}
		if cfg.Isolation != IsolationNative && cfg.Isolation.Strength() < cfg.Minimum.Strength() {
			return nil, &WeakError{Best: cfg.Isolation, Minimum: cfg.Minimum}
		}
		if cfg.Minimum.Strength() < cfg.Isolation.Strength() {
			cfg.Minimum = cfg.Isolation
		}
		list = openers[at:]
	}
	return climb(cfg, list)
}

func (cfg Config) complete() (Config, error) {
	if cfg.Dir == "" {
		return cfg, errors.New("runtime: no directory")
	}
	dir, err := filepath.Abs(cfg.Dir)
	if err != nil {
		return cfg, fmt.Errorf("runtime: %w", err)
	}
	cfg.Dir = dir
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Minimum == "" {
		cfg.Minimum = cmp.Or(cfg.Isolation, IsolationLandlock)
	}
	if cfg.Minimum.Strength() == 0 {
		return cfg, fmt.Errorf("runtime: unknown isolation %q", cfg.Minimum)
	}
	return cfg, nil
}

// Features are the parts of an isolation that a sandbox can do without.
type Features struct {
	// IDs is the number of user ids in a sandbox: 1 for an ordinary user.
	IDs int
	// WritableUsr is true when commands can install into /usr, and images can
	// be used: sandboxes have files of their own over it by overlayfs, and over
	// the snapshots that they are made of.
	WritableUsr bool
	// KillCgroup is true when a command is killed with its cgroup, which no
	// process can leave, and frozen with it for a capture; else it is killed by
	// a search for what came from it.
	KillCgroup bool
	// OwnProc is true when /proc shows the sandbox's processes only.
	OwnProc bool
	// NoNestedUsers is true when commands cannot create user namespaces.
	NoNestedUsers bool
	// Landlock is the version of the kernel's interface that fences commands
	// in, or 0.
	Landlock int
	// SyscallFilter is true when commands run under a system call filter.
	SyscallFilter bool
	// LimitCPU and its like are true when these limits hold.
	LimitCPU, LimitMemory, LimitPIDs, LimitFileBytes bool
	// Unlimited says which of them do not, and why, one text for each.
	Unlimited []string
}

// FeaturesOf returns the details of a runtime; those that it does not have are
// false.
func FeaturesOf(rt Runtime) Features {
	if r, ok := rt.(interface{ Features() Features }); ok {
		return r.Features()
	}
	return Features{Unlimited: []string{"cpu, memory, pids and file sizes: there is no isolation"}}
}
