package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/langsandbox/sandbox-go/internal/runtime"
)

const doctorHelp = `Show how far sandboxes on this machine are kept apart from it: which step of
isolation is in force, why not a better one, and what would help. Each step is
tried in child processes that leave nothing behind.

The exit code is 0 when the minimum of --min-isolation is met, and 1 when not.
With --oci-runtime the step in force is that of its containers, or none where they
do not work: a server has nothing stand in for them.`

// The flag that doctor and serve have in common.
const (
	ociRuntimeFlag = "oci-runtime"
	ociRuntimeHelp = "program to make sandboxes with, by path or name: runsc (gVisor), for a kernel of their own, crun or runc; none by default"
)

type doctorFlags struct {
	data, minimum, oci string
}

// isolations are the words for how far sandboxes are kept apart.
func isolations() []string {
	words := []string{string(runtime.IsolationNative)}
	for _, step := range runtime.Ladder {
		words = append(words, string(step))
	}
	return words
}

func (a *app) doctorCommand() *cobra.Command {
	var f doctorFlags
	var p printer
	cmd := &cobra.Command{
		Use:   "doctor [flags]",
		Short: "Show how sandboxes on this machine are isolated, and why not better",
		Long:  doctorHelp,
		Example: `  sandbox doctor
  sandbox doctor --min-isolation native-root --output json`,
		Args: wantArgs(0, 0),
		RunE: func(*cobra.Command, []string) error { return a.doctor(f, p) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.data, "data", "", "data directory that a server would have; a temporary one by default")
	flags.StringVar(&f.minimum, "min-isolation", string(runtime.IsolationNative), "weakest isolation to accept: native or a step that is listed")
	flags.StringVar(&f.oci, ociRuntimeFlag, "", ociRuntimeHelp)
	p.flags(cmd, formTable, "the step in force")
	completeFlag(cmd, "data", localDirectories)
	completeFlag(cmd, "min-isolation", oneOf(isolations()...))
	return cmd
}

func (a *app) doctor(f doctorFlags, p printer) error {
	if err := p.check(); err != nil {
		return err
	}
	minimum := runtime.Isolation(f.minimum)
	if minimum.Strength() == 0 {
		return fmt.Errorf("--min-isolation %q: want %s", f.minimum, orOf(isolations()))
	}
	dir, err := os.MkdirTemp(f.data, "sandbox-doctor-")
	if err != nil {
		return fmt.Errorf("directory for trials: %w", err)
	}
	defer os.RemoveAll(dir)
	report := runtime.Probe(filepath.Join(dir, "trial"), f.oci)
	if s := report.Step; f.oci != "" && s != runtime.IsolationOCI && s != runtime.IsolationContainer {
		report.Step, report.Features = "", runtime.Features{} // as a server has nothing stand in for it
	}
	d := diagnose(report, runtime.InspectHost(), minimum)
	switch {
	case p.form == formJSON:
		err = printJSON(a.out, d)
	case p.form != formName:
		err = d.write(a.out)
	case d.Isolation != "":
		_, err = fmt.Fprintln(a.out, d.Isolation)
	}
	if err == nil && !d.Met {
		err = exitError(1)
	}
	return err
}

// diagnosis is what the doctor says.
type diagnosis struct {
	Isolation string          `json:"isolation"` // the step in force, or empty
	Minimum   string          `json:"minimum"`
	Met       bool            `json:"met"`
	Steps     []diagnosedStep `json:"steps"`
	Users     int             `json:"users"` // in a sandbox
	Overlay   bool            `json:"overlay"`
	Images    bool            `json:"images"`
	OwnProc   bool            `json:"own_proc"`
	Limits    map[string]bool `json:"limits"`
	Unlimited []string        `json:"unlimited,omitempty"` // which limits do not hold, and why
	KillGroup bool            `json:"kill_cgroup"`
	Filter    bool            `json:"syscall_filter"`
	Kernel    string          `json:"kernel"`
	Landlock  int             `json:"landlock"`
	Seccomp   bool            `json:"seccomp"`
	Cgroups   string          `json:"cgroups"`
}

type diagnosedStep struct {
	Step    string `json:"step"`
	Works   bool   `json:"works"`
	InForce bool   `json:"in_force"`
	Reason  string `json:"reason,omitempty"`
	Help    string `json:"help,omitempty"`
}

func diagnose(report runtime.Report, host runtime.Host, minimum runtime.Isolation) diagnosis {
	f := report.Features
	d := diagnosis{
		Isolation: string(report.Step), Minimum: string(minimum),
		Met:   report.Step.Strength() >= minimum.Strength(),
		Users: f.IDs, Overlay: f.WritableUsr, Images: f.WritableUsr, OwnProc: f.OwnProc,
		Limits:    map[string]bool{"cpu": f.LimitCPU, "memory": f.LimitMemory, "pids": f.LimitPIDs, "file sizes": f.LimitFileBytes},
		Unlimited: f.Unlimited,
		KillGroup: f.KillCgroup, Filter: f.SyscallFilter,
		Kernel: host.Kernel, Landlock: host.Landlock, Seccomp: host.Seccomp, Cgroups: host.Cgroups,
	}
	if report.Step == runtime.IsolationProcess && minimum != runtime.IsolationProcess {
		d.Isolation = "" // nobody has asked for it
	}
	for _, r := range report.Rungs {
		d.Steps = append(d.Steps, diagnosedStep{
			Step: string(r.Step), Works: r.Works, InForce: string(r.Step) == d.Isolation, Reason: r.Reason, Help: r.Help,
		})
	}
	return d
}

func (d diagnosis) write(out io.Writer) error {
	var text strings.Builder
	t := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "STEP\tSTATE\tWHY NOT")
	for _, s := range d.Steps {
		state := "no"
		switch {
		case s.InForce:
			state = "in force"
		case s.Works:
			state = "works"
		}
		why := s.Reason
		if s.Step == string(runtime.IsolationProcess) && s.Works && !s.InForce {
			why = "no isolation: only with --min-isolation process"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\n", s.Step, state, why)
		if s.Help != "" {
			fmt.Fprintf(t, "\t\twhat would help: %s\n", s.Help)
		}
	}
	_ = t.Flush() // into memory
	t = tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t)
	for _, line := range [][2]string{
		{"limits:", d.limits()},
		{"", strings.Join(d.Unlimited, "; ")},
		{"users in a sandbox:", strconv.Itoa(d.Users)},
		{"images, writable /usr:", yes(d.Overlay)},
		{"/proc of its own:", yes(d.OwnProc)},
		{"system calls filtered:", yes(d.Filter)},
		{"kernel:", fmt.Sprintf("%s, cgroups %s, Landlock %d, seccomp %s", d.Kernel, d.Cgroups, d.Landlock, yes(d.Seccomp))},
	} {
		if line[1] != "" {
			fmt.Fprintf(t, "%s\t%s\n", line[0], line[1])
		}
	}
	_ = t.Flush()
	verdict := "met"
	if !d.Met {
		verdict = "not met"
	}
	fmt.Fprintf(&text, "\nThe minimum, %s, is %s.\n", d.Minimum, verdict)
	_, err := io.WriteString(out, text.String())
	return err
}

// limits lists what can be limited.
func (d diagnosis) limits() string {
	var have, miss []string
	for _, name := range []string{"cpu", "memory", "pids", "file sizes"} {
		if d.Limits[name] {
			have = append(have, name)
		} else {
			miss = append(miss, name)
		}
	}
	switch {
	case len(miss) == 0:
		return strings.Join(have, ", ")
	case len(have) == 0:
		return "none"
	}
	return strings.Join(have, ", ") + "; not " + strings.Join(miss, ", ")
}

func yes(is bool) string {
	if is {
		return "yes"
	}
	return "no"
}
