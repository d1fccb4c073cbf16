package main

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/langsandbox/sandbox-go/internal/runtime"
)

// container is a report like that of a container with the usual settings.
var container = runtime.Report{
	Step: runtime.IsolationLandlock, Isolation: runtime.IsolationLandlock,
	Features: runtime.Features{IDs: 1, SyscallFilter: true, LimitMemory: true},
	Rungs: []runtime.Rung{
		{Step: runtime.IsolationRoot, Reason: "a filter forbids it", Help: "another filter"},
		{Step: runtime.IsolationRootless, Reason: "a filter forbids it"},
		{Step: runtime.IsolationProcBound, Reason: "a filter forbids it"},
		{Step: runtime.IsolationLandlock, Works: true},
		{Step: runtime.IsolationProcess, Works: true},
	},
}

var kernel = runtime.Host{Kernel: "6.8.0", Landlock: 4, Seccomp: true, Cgroups: "v2"}

const containerTable = `STEP             STATE     WHY NOT
native-root      no        a filter forbids it
                           what would help: another filter
native-rootless  no        a filter forbids it
native-procbind  no        a filter forbids it
landlock         in force  
process          works     no isolation: only with --min-isolation process

limits:                 memory; not cpu, pids, file sizes
users in a sandbox:     1
images, writable /usr:  no
/proc of its own:       no
system calls filtered:  yes
kernel:                 6.8.0, cgroups v2, Landlock 4, seccomp yes

The minimum, native, is not met.
`

func TestDiagnosis(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := diagnose(container, kernel, runtime.IsolationNative).write(&out); err != nil {
		t.Fatal(err)
	}
	if out.String() != containerTable {
		t.Errorf("%s", out.String())
	}
	process := runtime.Report{Step: runtime.IsolationProcess, Rungs: []runtime.Rung{{Step: runtime.IsolationProcess, Works: true}}}
	for _, test := range []struct {
		report  runtime.Report
		minimum runtime.Isolation
		met     bool
		inForce string
	}{
		{container, runtime.IsolationLandlock, true, "landlock"},
		{container, runtime.IsolationProcess, true, "landlock"},
		{container, runtime.IsolationRoot, false, "landlock"},
		{process, runtime.IsolationProcess, true, "process"},
		{process, runtime.IsolationLandlock, false, ""},
		{runtime.Report{}, runtime.IsolationProcess, false, ""},
	} {
		if d := diagnose(test.report, kernel, test.minimum); d.Met != test.met || d.Isolation != test.inForce {
			t.Errorf("%s of %q: %+v", test.minimum, test.report.Step, d)
		}
	}
}

// TestDoctor asks about this machine.
func TestDoctor(t *testing.T) {
	t.Parallel()
	cmd, temp := command(t, "doctor", "--min-isolation", "process", "--output", "json")
	output, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v %s", err, output)
	}
	var d diagnosis
	if err := json.Unmarshal(output, &d); err != nil {
		t.Fatal(err)
	}
	if !d.Met || d.Isolation == "" || len(d.Steps) != len(runtime.Ladder) {
		t.Errorf("%s", output)
	}
	mustBeEmpty(t, temp)
}

func TestDoctorFlags(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"--min-isolation vm":              `"vm"`,
		"--output xml":                    `"xml"`,
		"--data " + os.Args[0] + "/x":     "directory for trials",
		"--min-isolation native surprise": "unexpected argument",
	} {
		cmd, _ := command(t, append([]string{"doctor"}, strings.Fields(args)...)...)
		output, err := cmd.CombinedOutput()
		if err == nil || cmd.ProcessState.ExitCode() != exitFailed || !strings.Contains(string(output), want) {
			t.Errorf("%s: %v, %s", args, err, output)
		}
	}
}
