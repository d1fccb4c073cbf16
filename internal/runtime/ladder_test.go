//go:build unix

package runtime

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// stepRuntime is a runtime of which only the step matters.
type stepRuntime struct {
	Runtime
	is     Isolation
	closed *int
}

func (r stepRuntime) step() Isolation    { return r.is }
func (r stepRuntime) Features() Features { return Features{IDs: 7} }
func (r stepRuntime) Close() error       { *r.closed++; return nil }

// host is one that allows the steps given, of each class.
func host(closed *int, steps map[Isolation]Isolation, reason error) []opener {
	var list []opener
	for _, class := range []Isolation{IsolationNative, IsolationLandlock, IsolationProcess} {
		list = append(list, opener{class, func(Config) (Runtime, error) {
			if step, ok := steps[class]; ok {
				return stepRuntime{is: step, closed: closed}, nil
			}
			return nil, fmt.Errorf("%w: %s: %w", ErrUnsupported, class, reason)
		}})
	}
	return list
}

func TestClimb(t *testing.T) {
	rootless := map[Isolation]Isolation{IsolationNative: IsolationRootless, IsolationLandlock: IsolationLandlock, IsolationProcess: IsolationProcess}
	bound := map[Isolation]Isolation{IsolationNative: IsolationProcBound, IsolationLandlock: IsolationLandlock, IsolationProcess: IsolationProcess}
	fenced := map[Isolation]Isolation{IsolationLandlock: IsolationLandlock, IsolationProcess: IsolationProcess}
	process := map[Isolation]Isolation{IsolationProcess: IsolationProcess}
	tests := []struct {
		name    string
		host    map[Isolation]Isolation
		minimum Isolation
		want    Isolation
		best    Isolation // when there is none
	}{
		{"best", rootless, IsolationProcess, IsolationRootless, ""},
		{"native", rootless, IsolationNative, IsolationRootless, ""},
		{"exact", rootless, IsolationRootless, IsolationRootless, ""},
		{"root", rootless, IsolationRoot, "", IsolationRootless},
		{"bound", bound, IsolationNative, IsolationProcBound, ""},
		{"own proc", bound, IsolationRootless, "", IsolationProcBound},
		{"fence", fenced, IsolationLandlock, IsolationLandlock, ""},
		{"no namespaces", fenced, IsolationNative, "", IsolationLandlock},
		{"process", process, IsolationProcess, IsolationProcess, ""},
		{"no fence", process, IsolationLandlock, "", IsolationProcess},
		{"nothing", nil, IsolationProcess, "", ""},
	}
	for _, test := range tests {
		closed := 0
		cfg, err := Config{Dir: t.TempDir(), Minimum: test.minimum}.complete()
		if err != nil {
			t.Fatal(err)
		}
		rt, err := climb(cfg, host(&closed, test.host, syscall.EPERM))
		if test.want != "" {
			if err != nil || StepOf(rt) != test.want || closed != 0 {
				t.Errorf("%s: %v, %v, %d closed", test.name, rt, err, closed)
			}
			continue
		}
		var weak *WeakError
		if !errors.As(err, &weak) || !errors.Is(err, ErrUnsupported) || weak.Best != test.best || weak.Minimum != test.minimum {
			t.Errorf("%s: %v", test.name, err)
		}
		if wasted := min(len(test.best), 1); closed != wasted {
			t.Errorf("%s: %d closed", test.name, closed)
		}
	}
	// What is wrong with the directory is nothing of the isolation.
	broken := []opener{{IsolationNative, func(Config) (Runtime, error) { return nil, fs.ErrExist }}, {IsolationProcess, nil}}
	cfg, _ := Config{Dir: t.TempDir(), Minimum: IsolationProcess}.complete()
	if _, err := climb(cfg, broken); !errors.Is(err, fs.ErrExist) {
		t.Errorf("%v", err)
	}
}

func TestStrength(t *testing.T) {
	for i, step := range Ladder {
		if step.Strength() != len(Ladder)-i {
			t.Errorf("%s: %d", step, step.Strength())
		}
	}
	if IsolationNative.Strength() != IsolationProcBound.Strength() || Isolation("vm").Strength() != 0 || Isolation("").Strength() != 0 {
		t.Error("strengths")
	}
	if IsolationRoot.Class() != IsolationNative || IsolationLandlock.Class() != IsolationLandlock {
		t.Error("classes")
	}
}

func TestNewIsolation(t *testing.T) {
	for _, test := range []struct{ isolation, minimum, want Isolation }{
		{IsolationProcess, IsolationProcess, IsolationProcess},
		{IsolationProcess, "", IsolationProcess},
		{IsolationProcess, IsolationLandlock, ""},
		{IsolationLandlock, IsolationNative, ""},
		{"vm", "", ""},
		{"", "vm", ""},
		{IsolationRoot, "", ""}, // a step is no choice
	} {
		rt, err := New(Config{Dir: filepath.Join(t.TempDir(), "boxes"), Isolation: test.isolation, Minimum: test.minimum})
		if (err == nil) != (test.want != "") || err == nil && rt.Isolation() != test.want {
			t.Errorf("%q, %q: %v, %v", test.isolation, test.minimum, rt, err)
		}
		if err == nil {
			rt.Close()
		}
	}
}

func TestProbeReports(t *testing.T) {
	closed := 0
	report := probe(t.TempDir(), "", host(&closed, map[Isolation]Isolation{IsolationNative: IsolationProcBound, IsolationProcess: IsolationProcess}, syscall.ENOSYS))
	if report.Isolation != IsolationNative || report.Step != IsolationProcBound || report.Features.IDs != 7 || closed != 2 {
		t.Errorf("%+v, %d closed", report, closed)
	}
	var lines []string
	for _, r := range report.Rungs {
		lines = append(lines, fmt.Sprintf("%s %t %t %t", r.Step, r.Works, strings.Contains(r.Reason, "/proc"), r.Help != ""))
	}
	want := "native-root false true true\nnative-subordinate false true true\nnative-rootless false true true\nnative-oci false false false\nnative-procbind true false false\nlandlock false false true\nprocess true false false"
	if got := strings.Join(lines, "\n"); got != want {
		t.Errorf("%s", got)
	}
	if !errors.Is(report.Reason, errProcBound) {
		t.Errorf("%v", report.Reason)
	}
	none := probe(t.TempDir(), "", host(&closed, nil, syscall.EPERM))
	if none.Isolation != "" || none.Reason == nil {
		t.Errorf("%+v", none)
	}
}

// TestProbe does it really.
func TestProbe(t *testing.T) {
	noLeaks(t)
	dir := filepath.Join(t.TempDir(), "probe")
	report := Probe(dir, "")
	if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("left: %v", err)
	}
	if len(report.Rungs) != len(Ladder) || report.Step == "" {
		t.Fatalf("%+v", report)
	}
	for i, r := range report.Rungs {
		t.Logf("%+v", r)
		if r.Step != Ladder[i] || !r.Works && r.Reason == "" {
			t.Errorf("%+v", r)
		}
	}
	report.Rungs[0].Step = "changed"
	if again := Probe(dir, ""); again.Rungs[0].Step != Ladder[0] || again.Step != report.Step {
		t.Errorf("%+v", again)
	}
}

func TestExplain(t *testing.T) {
	const (
		maximum  = "/proc/sys/user/max_user_namespaces"
		debian   = "/proc/sys/kernel/unprivileged_userns_clone"
		apparmor = "/proc/sys/kernel/apparmor_restrict_unprivileged_userns"
		status   = "/proc/self/status"
	)
	namespaces := fmt.Errorf("%w: new namespaces: %w", ErrUnsupported, syscall.EPERM)
	landlock := func(err error) error { return fmt.Errorf("%w: landlock: %w", ErrUnsupported, err) }
	tests := []struct {
		err    error
		file   string
		text   string
		reason string
		help   string
	}{
		{namespaces, debian, "0", "kernel.unprivileged_userns_clone is 0", "sysctl -w"},
		{namespaces, apparmor, "1", "AppArmor", "profile"},
		{namespaces, status, "Name:\tx\nSeccomp:\t2", "filter", "seccomp=unconfined"},
		{namespaces, "", "", "refuses it", "root"},
		{fmt.Errorf("new namespaces: %w", syscall.ENOSPC), maximum, "0", "max_user_namespaces is 0", "sysctl -w"},
		{fmt.Errorf("new namespaces: %w", syscall.ENOSPC), maximum, "100", "as many", "raise"},
		{fmt.Errorf("new namespaces: %w", syscall.EUSERS), "", "", "nested", ""},
		{fmt.Errorf("new namespaces: %w", syscall.EINVAL), "", "", "without user namespaces", "kernel"},
		{fmt.Errorf("mount_setattr: %w", syscall.ENOSYS), "", "", "too old", "5.12"},
		{landlock(syscall.ENOSYS), "", "", "5.13", "newer"},
		{landlock(errDisabled), "", "", "switched off", "lsm="},
		{errProcBound, "", "", "covered", "systempaths"},
		{errNotRoot, "", "", "ordinary user", "root"},
		{errors.New("something\nelse"), "", "", "something; else", ""},
		{nil, "", "", "", ""},
	}
	for _, test := range tests {
		reason, help := explain(test.err, facts{read: func(name string) string {
			if name == test.file {
				return test.text
			}
			return ""
		}})
		if !strings.Contains(reason, test.reason) || !strings.Contains(help, test.help) || strings.Contains(reason, ErrUnsupported.Error()) {
			t.Errorf("%v: %q, %q", test.err, reason, help)
		}
	}
}

func TestWeakError(t *testing.T) {
	err := &WeakError{Best: IsolationLandlock, Minimum: IsolationNative, Err: fmt.Errorf("new namespaces: %w", syscall.EUSERS)}
	for _, want := range []string{`this would be "landlock"`, `at least "native"`, "nested too deep", "what would help", "further outside"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %q", want, err)
		}
	}
	if !errors.Is(err, ErrUnsupported) || !errors.Is(err, syscall.EUSERS) {
		t.Error(err)
	}
	if text := (&WeakError{Minimum: IsolationProcess}).Error(); !strings.HasPrefix(text, "none works here") {
		t.Error(text)
	}
}
