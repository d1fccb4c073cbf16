package runtime

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
)

// Isolation names how far a sandbox is kept apart from the host: a step of the
// ladder, or IsolationNative for any of its steps.
type Isolation string

const (
	// IsolationProcess is a directory and a process group, and no isolation:
	// commands see the host's files, processes and network.
	IsolationProcess Isolation = "process"
	// IsolationLandlock is IsolationProcess behind a fence: commands write to
	// the sandbox's directory only, read that and programs of the host, and
	// have no other network than to listen. Paths are the host's.
	IsolationLandlock Isolation = "landlock"
	// IsolationNative is a user, mount, pid, ipc, uts and network namespace
	// with a private root over the host's read-only /usr.
	IsolationNative Isolation = "native"
	// IsolationProcBound is IsolationNative with the /proc of the server, where
	// the kernel refuses another one: commands see that there are other
	// processes, and what they are called.
	IsolationProcBound Isolation = "native-procbind"
	// IsolationRootless is IsolationNative by an ordinary user, who is the one
	// user of the sandbox.
	IsolationRootless Isolation = "native-rootless"
	// IsolationSubordinate is IsolationNative by an ordinary user with
	// subordinate ids: sandboxes have many users, of which root is the server's
	// user, and the others are nobody on the host.
	IsolationSubordinate Isolation = "native-subordinate"
	// IsolationRoot is IsolationNative by root: sandboxes have many users, none
	// of which is anybody on the host.
	IsolationRoot Isolation = "native-root"
	// IsolationContainer is IsolationNative in a container of another program,
	// crun or runc, whose containers share the host's kernel. It is not tried
	// unless Config.OCI names the program.
	IsolationContainer Isolation = "native-oci"
	// IsolationOCI is a container of another program, with a kernel of its own
	// (gVisor's): system calls of commands do not reach the host's. It is not
	// tried unless Config.OCI names the program.
	IsolationOCI Isolation = "oci"
)

// Ladder are the steps, strongest first.
var Ladder = []Isolation{IsolationOCI, IsolationRoot, IsolationSubordinate, IsolationRootless, IsolationContainer, IsolationProcBound, IsolationLandlock, IsolationProcess}

// Strength orders isolations, from 1; unknown ones have 0. IsolationNative is
// as strong as its weakest step.
func (i Isolation) Strength() int {
	if i == IsolationNative {
		i = IsolationProcBound
	}
	if at := slices.Index(Ladder, i); at >= 0 {
		return len(Ladder) - at
	}
	return 0
}

// Class is IsolationNative for each of its steps, and other steps themselves.
func (i Isolation) Class() Isolation {
	if strings.HasPrefix(string(i), string(IsolationNative)+"-") {
		return IsolationNative
	}
	return i
}

// StepOf returns the step that a runtime is.
func StepOf(rt Runtime) Isolation {
	if s, ok := rt.(interface{ step() Isolation }); ok {
		return s.step()
	}
	return rt.Isolation()
}

// WeakError reports that the host does not allow what is asked for. It matches
// ErrUnsupported.
type WeakError struct {
	// Best is the best step that works, or empty, and Minimum what was asked
	// for.
	Best, Minimum Isolation
	// Err is why there is nothing better, or nil if that was not tried.
	Err error
}

// Error says what there is, why nothing better, and what would help.
func (e *WeakError) Error() string {
	text := "none works here"
	if e.Best != "" {
		text = fmt.Sprintf("this would be %q", e.Best)
	}
	text += fmt.Sprintf(", and at least %q is asked for", e.Minimum)
	if e.Err == nil {
		return text
	}
	reason, help := explain(e.Err, hostFacts())
	if text += ": " + reason; help != "" {
		text += " (what would help: " + help + ")"
	}
	return text
}

// Unwrap returns ErrUnsupported and the cause.
func (e *WeakError) Unwrap() []error { return []error{ErrUnsupported, e.Err} }

// opener opens the runtime of a class.
type opener struct {
	class Isolation
	open  func(Config) (Runtime, error)
}

// openers are what there is, strongest first. Each does a trial of its own, in
// child processes that are gone when it returns.
var openers = []opener{{IsolationNative, newNative}, {IsolationLandlock, newLandlock}, {IsolationProcess, newProcess}}

// errProcBound is why a step has another one's /proc.
var errProcBound = errors.New("the kernel refuses a new /proc")

// atLeast opens a runtime that is not below the minimum.
func (o opener) atLeast(cfg Config) (Runtime, error) {
	rt, err := o.open(cfg)
	if err != nil {
		return nil, err
	}
	if step := StepOf(rt); step.Strength() < cfg.Minimum.Strength() {
		return nil, errors.Join(&WeakError{Best: step, Minimum: cfg.Minimum, Err: whyNot(cfg.Minimum, step)}, rt.Close())
	}
	return rt, nil
}

// whyNot is the reason for the step that was found, and not a better one of
// the same class.
func whyNot(want, have Isolation) error {
	switch {
	case want == IsolationOCI && have == IsolationContainer:
		return errSharedKernel
	case want == IsolationOCI:
		return errNoOCI
	case have == IsolationContainer:
		return errContainer
	case want == IsolationContainer:
		return errNoContainer
	}
	if have == IsolationProcBound {
		return errProcBound
	}
	if want == IsolationRoot {
		return errNotRoot
	}
	if want == IsolationSubordinate {
		return whyNoSubordinates()
	}
	return nil
}

var (
	// errNotRoot is why the server's user is root of sandboxes.
	errNotRoot = errors.New("the server is not root")
	// errNoSubordinates is why that is their only user.
	errNoSubordinates = errors.New("no subordinate ids")
	// errNoOCI is why sandboxes share the host's kernel.
	errNoOCI = fmt.Errorf("%w: no OCI runtime is configured", ErrUnsupported)
	// errNoContainer is the same, where any would do.
	errNoContainer = fmt.Errorf("%w: no OCI runtime is configured", ErrUnsupported)
	// errSharedKernel is why they do with one.
	errSharedKernel = errors.New("containers of this OCI runtime share the host's kernel")
	// errContainer is why they are no stronger step, which they may be like.
	errContainer = errors.New("containers of an OCI runtime that share the host's kernel count as this step")
)

// climb opens the strongest runtime that works, from the top down to the
// minimum.
func climb(cfg Config, list []opener) (Runtime, error) {
	weak := &WeakError{Minimum: cfg.Minimum}
	var reasons []error
	for _, o := range list {
		if o.class.Strength() >= cfg.Minimum.Strength() || o.class == IsolationNative {
			rt, err := o.atLeast(cfg)
			if !errors.Is(err, ErrUnsupported) {
				return rt, err
			}
			cfg.Logger.Debug("isolation is not available", "isolation", o.class, "reason", err)
			if found, ok := errors.AsType[*WeakError](err); ok {
				return nil, found
			}
			reasons = append(reasons, err)
			continue
		}
		// Below the minimum it is only to be told what there is.
		if rt, err := o.open(cfg); err == nil {
			weak.Best = StepOf(rt)
			reasons = append(reasons, rt.Close())
			break
		}
	}
	weak.Err = errors.Join(reasons...)
	return nil, weak
}

// Rung is what a trial of a step has shown.
type Rung struct {
	Step  Isolation
	Works bool
	// Reason is why it does not work, and Help what could be done about it, if
	// anything, in words for who runs the host.
	Reason, Help string
	// Err is the same for programs.
	Err error
	// Features are what it offers, if it works.
	Features Features
}

// Report says what a host allows, found by doing it.
type Report struct {
	// Rungs are all steps, strongest first.
	Rungs []Rung
	// Isolation is the class of the strongest step that works, or empty when
	// none does, and Step the step itself; with an OCI runtime that works, it is
	// that one's.
	Isolation, Step Isolation
	// Reason says why there is no stronger one.
	Reason error
	// Features are the details of the step.
	Features Features
}

// probes keeps reports by where they are from, since nothing of the host
// changes for a process that runs.
var probes struct {
	mu   sync.Mutex
	done map[probeKey]Report
}

type probeKey struct {
	device uint64
	oci    string
}

// Probe tries every step on this host, with files below dir, and leaves
// nothing behind. It does so once for each file system.
//
// The OCI runtime is that of Config.OCI, and may be empty.
func Probe(dir, oci string) Report {
	probes.mu.Lock()
	defer probes.mu.Unlock()
	key := probeKey{deviceOf(dir), oci}
	report, ok := probes.done[key]
	if !ok {
		report = probe(dir, oci, append([]opener{{IsolationOCI, newOCI}}, openers...))
		if probes.done == nil {
			probes.done = make(map[probeKey]Report)
		}
		probes.done[key] = report
	}
	report.Rungs = slices.Clone(report.Rungs)
	return report
}

func probe(dir, oci string, list []opener) Report {
	var report Report
	container := Rung{Err: errNoContainer}
	for _, o := range list {
		cfg, err := Config{Dir: dir, OCI: oci, Isolation: o.class, Minimum: IsolationProcess}.complete()
		var rt Runtime
		if err == nil {
			rt, err = o.open(cfg)
		}
		found := Rung{Err: err}
		if err == nil {
			found = Rung{Step: StepOf(rt), Works: true}
			if f, ok := rt.(interface{ Features() Features }); ok {
				found.Features = f.Features()
			}
			report.Reason = errors.Join(report.Reason, rt.Close())
		}
		if o.class == IsolationOCI && oci != "" {
			container = found
		}
		if found.Step == IsolationContainer {
			report.take(found) // the server would not have another
			found = Rung{Err: errSharedKernel}
		}
		for _, step := range Ladder {
			switch {
			case step == IsolationContainer && o.class == IsolationNative:
				report.add(step, container)
			case step.Class() == o.class:
				report.add(step, found)
			}
		}
	}
	return report
}

// take notes the step that is in force.
func (r *Report) take(found Rung) {
	r.Step, r.Isolation, r.Features = found.Step, found.Step.Class(), found.Features
}

// add notes of a step what was found of its class.
func (r *Report) add(step Isolation, found Rung) {
	if step != found.Step && found.Works {
		better := step.Strength() > found.Step.Strength()
		found = Rung{Err: whyNot(step, found.Step), Reason: "not needed: there is a better one"}
		if better {
			found.Reason = ""
		}
	}
	found.Step = step
	if !found.Works && found.Reason == "" {
		found.Reason, found.Help = explain(found.Err, hostFacts())
	}
	r.Rungs = append(r.Rungs, found)
	if r.Step == "" && found.Works {
		r.take(found)
	} else if r.Step == "" {
		r.Reason = errors.Join(r.Reason, found.Err)
	}
}
