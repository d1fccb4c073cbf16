package runtime

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
)

// New returns the runtime that cfg asks for. With no isolation asked for it
// is the strongest one that a trial shows to work here.
func New(cfg Config) (Runtime, error) {
	cfg, err := cfg.complete()
	if err != nil {
		return nil, err
	}
	switch cfg.Isolation {
	case IsolationNative:
		return newNative(cfg)
	case IsolationLandlock:
		return newLandlock(cfg)
	case IsolationProcess:
		return newProcess(cfg)
	case "":
		return newStrongest(cfg)
	}
	return nil, fmt.Errorf("runtime: unknown isolation %q", cfg.Isolation)
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
	return cfg, nil
}

func newStrongest(cfg Config) (Runtime, error) {
	rt, err := newNative(cfg)
	if !errors.Is(err, ErrUnsupported) {
		return rt, err
	}
	cfg.Logger.Debug("native isolation is not available", "reason", err)
	return newProcess(cfg)
}

// Report says what a host allows, found by doing it.
type Report struct {
	// Isolation is the strongest that works, or empty when none does.
	Isolation Isolation
	// Reason says why there is no stronger one.
	Reason error
	// Features are the details of IsolationNative.
	Features Features
}

// Features are the parts of IsolationNative that a sandbox can do without.
type Features struct {
	// IDs is the number of user ids in a sandbox: 1 for an ordinary user.
	IDs int
	// WritableUsr is true when commands can install into /usr.
	WritableUsr bool
	// KillCgroup is true when a command is killed with its cgroup, which no
	// process can leave; else by a search for what came from it.
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
	// LimitCPU, LimitMemory and LimitPIDs are true when these limits hold.
	LimitCPU, LimitMemory, LimitPIDs bool
}

// Probe tries what works on this host, with files below dir, and leaves
// nothing behind.
func Probe(dir string) Report {
	rt, err := New(Config{Dir: dir, Isolation: IsolationNative})
	if err == nil {
		report := Report{Isolation: IsolationNative}
		if f, ok := rt.(interface{ Features() Features }); ok {
			report.Features = f.Features()
		}
		report.Reason = rt.Close()
		return report
	}
	report := Report{Reason: err}
	rt, err = New(Config{Dir: dir, Isolation: IsolationProcess})
	if err != nil {
		report.Reason = errors.Join(report.Reason, err)
		return report
	}
	report.Isolation = IsolationProcess
	if err := rt.Close(); err != nil {
		report.Reason = errors.Join(report.Reason, err)
	}
	return report
}
