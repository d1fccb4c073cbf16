package runtime

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

var update = flag.Bool("update", false, "write the table of attacks")

// An attack is tried from inside a sandbox, by a copy of this test. It has
// succeeded when it returns nil. None does any harm where it succeeds.
type attack struct {
	name string
	try  func(h hostTargets) error
	// apart is an attack that would do harm to the host, if it succeeded, where
	// sandboxes have no processes and mounts of their own. It is not tried there.
	apart bool
}

// hostTargets are what an attack is after: things of the host.
type hostTargets struct {
	Secret   string // a file
	PID      int    // a process that the test started
	Loopback string // a listener on 127.0.0.1
	Address  string // one on another address of the host, "" if there is none
	Abstract string // an abstract socket
	Socket   string // a socket in the file system
	Program  string // the directory that is mounted
	Apart    bool   // the sandbox has processes and mounts of its own
}

const targetsKey = "RUNTIME_TEST_TARGETS"

func init() {
	helpers["attacks"] = func() error {
		var h hostTargets
		if err := json.Unmarshal([]byte(os.Getenv(targetsKey)), &h); err != nil {
			return err
		}
		outcomes := map[string]string{}
		for _, a := range attacks {
			if a.apart && !h.Apart {
				outcomes[a.name] = untried
				continue
			}
			outcomes[a.name] = outcome(a.try(h))
		}
		return json.NewEncoder(os.Stdout).Encode(outcomes)
	}
}

func outcome(err error) string {
	if err == nil {
		return open
	}
	return "blocked: " + err.Error()
}

// Of attacks on the table.
const (
	open    = "open"
	untried = "not tried"
)

// The attacks that succeed, and why.
var (
	nativeResidual = map[string]string{
		"change the limits of process 1":             "it is the sandbox's own agent, and ends with it; a sandbox can end itself",
		"read the names of mounted host directories": "the kernel shows where mounts come from; the paths lead nowhere inside",
	}
	procBoundResidual = map[string]string{
		"change the limits of process 1":             nativeResidual["change the limits of process 1"],
		"read the names of mounted host directories": nativeResidual["read the names of mounted host directories"],
		"see a process of the host":                  "/proc is the server's, since the kernel refuses another one",
	}
	landlockResidual = map[string]string{
		"change the mode of a file of the host": "the kernel has no rules for modes, times and attributes of files that the server's user owns",
	}
)

// What a sandbox does to a kernel of its own.
const ownKernelOnly = "it is the sandbox's own kernel, in which only the sandbox is"

var ociResidual = map[string]string{
	"change the limits of process 1":       nativeResidual["change the limits of process 1"],
	"use the magic keys":                   ownKernelOnly + "; they do nothing",
	"read what /proc tells of the machine": ownKernelOnly,
	"make a user namespace":                ownKernelOnly,
	"make a mount namespace":               ownKernelOnly,
	"find the host's cgroups":              ownKernelOnly + "; the directory is empty",
}

func residualOf(mode string) map[string]string {
	switch mode {
	case "landlock":
		return landlockResidual
	case procBound:
		return procBoundResidual
	case "oci":
		return ociResidual
	}
	return nativeResidual
}

// TestAttacks tries every attack in each mode that keeps sandboxes from the
// host, and holds the table in the documentation to what came of it.
func TestAttacks(t *testing.T) {
	targets := startTargets(t)
	columns := map[string]map[string]string{}
	for _, m := range modes {
		if m.name == "process" {
			continue // it blocks nothing, and says so
		}
		t.Run(m.name, func(t *testing.T) {
			targets.Apart = m.name != "landlock"
			rt := m.start(t)
			if abi := FeaturesOf(rt).Landlock; m.name == "landlock" && abi < 6 {
				t.Skipf("Landlock %d fences in less than the table says", abi)
			}
			columns[m.name] = judged(t, m.name, attacked(t, rt, targets))
		})
	}
	t.Run(procBound, func(t *testing.T) { columns[procBound] = judged(t, procBound, attackedProcBound(t)) })
	if len(columns) > 0 && !t.Failed() {
		checkAttackTable(t, columns)
	}
}

// judged compares what came of the attacks with what is expected, and returns
// it for the table.
func judged(t *testing.T, mode string, outcomes map[string]string) map[string]string {
	t.Helper()
	column := map[string]string{}
	for _, a := range attacks {
		got, ran := outcomes[a.name]
		_, expected := residualOf(mode)[a.name]
		if !ran || expected != (got == open) {
			t.Errorf("%s: %s", a.name, got)
		}
		column[a.name], _, _ = strings.Cut(got, ":")
	}
	return column
}

func attacked(t *testing.T, rt Runtime, h hostTargets) map[string]string {
	t.Helper()
	dir := t.TempDir()
	h.Program = dir
	targets, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	// Not all hosts can show a directory with contents to sandboxes.
	box := create(t, rt, Spec{Mounts: []Mount{{Source: dir, Target: "/attacks"}}})
	copySelf(t, filepath.Join(dir, "attacks"))
	j := start(t, box, Command{
		Args: []string{inside(box, "/attacks/attacks")},
		Env:  []string{helperKey + "=attacks", targetsKey + "=" + string(targets)},
	})
	output := j.readAll(t)
	if status := j.waitEnd(t); status.Code != 0 {
		t.Fatalf("%+v\n%s", status, output)
	}
	outcomes := map[string]string{}
	if err := json.Unmarshal([]byte(output), &outcomes); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	if got := run(t, box, "echo alive"); got != "alive" {
		t.Errorf("afterwards: %q", got)
	}
	return outcomes
}

// copySelf makes a copy of this test for a sandbox.
func copySelf(t *testing.T, to string) {
	t.Helper()
	in, err := os.Open(selfExe) // which may be out of reach by its name
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
}

// startTargets makes what the attacks are after, and sees that the host itself
// reaches it.
func startTargets(t *testing.T) hostTargets {
	t.Helper()
	dir := t.TempDir()
	h := hostTargets{Secret: filepath.Join(dir, "secret"), Socket: filepath.Join(dir, "socket"), Abstract: "@" + dir}
	if err := os.WriteFile(h.Secret, []byte("secret"), 0o644); err != nil {
		t.Fatal(err)
	}
	victim := exec.Command("sleep", "1000")
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = victim.Process.Kill(); _ = victim.Wait() })
	h.PID = victim.Process.Pid
	h.Loopback = listenAt(t, "tcp", "127.0.0.1:0")
	if address := ownAddress(); address != "" {
		h.Address = listenAt(t, "tcp", net.JoinHostPort(address, "0"))
	}
	listenAt(t, "unix", h.Abstract)
	listenAt(t, "unix", h.Socket)
	return h
}

func listenAt(t *testing.T, network, address string) string {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	conn, err := net.Dial(network, l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	return l.Addr().String()
}

// ownAddress is an address of this machine besides its loopback ones.
func ownAddress() string {
	addrs, _ := net.InterfaceAddrs()
	for _, addr := range addrs {
		if ip, ok := addr.(*net.IPNet); ok && ip.IP.To4() != nil && !ip.IP.IsLoopback() {
			return ip.IP.String()
		}
	}
	return ""
}

// checkAttackTable compares the table in the documentation with what happened,
// where it happened: a mode that this host does not have keeps its column.
func checkAttackTable(t *testing.T, columns map[string]map[string]string) {
	t.Helper()
	const begin, end = "<!-- attacks -->\n", "<!-- /attacks -->\n"
	file := filepath.Join("..", "..", "docs", "isolation.md")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, found := strings.Cut(string(text), begin)
	table, tail, closed := strings.Cut(rest, end)
	if !found || !closed {
		t.Fatalf("%s has no place for the table", file)
	}
	for name, column := range readAttackTable(table) {
		if columns[name] == nil {
			columns[name] = column
		}
	}
	want := attackTable(columns)
	switch {
	case table == want:
	case *update:
		if err := os.WriteFile(file, []byte(head+begin+want+end+tail), 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("%s is not what happened, run this test with -update:\n%s", file, want)
	}
}

func attackTable(columns map[string]map[string]string) string {
	names := slices.Sorted(maps.Keys(columns))
	var b strings.Builder
	fmt.Fprintf(&b, "| Attack | %s |\n|---|%s\n", strings.Join(names, " | "), strings.Repeat("---|", len(names)))
	for _, a := range attacks {
		fmt.Fprintf(&b, "| %s |", a.name)
		for _, name := range names {
			cell := columns[name][a.name]
			if why := residualOf(name)[a.name]; why != "" && cell == open {
				cell += ": " + why
			}
			fmt.Fprintf(&b, " %s |", cell)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// readAttackTable is the way back.
func readAttackTable(table string) map[string]map[string]string {
	columns := map[string]map[string]string{}
	var names []string
	for i, line := range strings.Split(strings.TrimSpace(table), "\n") {
		cells := strings.Split(strings.Trim(line, "| "), "|")
		switch i {
		case 1:
		case 0:
			for _, name := range cells[1:] {
				names = append(names, strings.TrimSpace(name))
				columns[strings.TrimSpace(name)] = map[string]string{}
			}
		default:
			for j, name := range names {
				if j+1 < len(cells) {
					columns[name][strings.TrimSpace(cells[0])], _, _ = strings.Cut(strings.TrimSpace(cells[j+1]), ":")
				}
			}
		}
	}
	return columns
}

// TestAgentThreads looks at every thread of the agent from outside: each that
// kept something would have it in the same memory.
func TestAgentThreads(t *testing.T) { eachNative(t, testAgentThreads) }

func testAgentThreads(t *testing.T, n *native) {
	box := create(t, n, Spec{}).(*sandbox)
	run(t, box, "true")
	files, err := filepath.Glob(inProc(box.agent.Pid, "task/*/status"))
	if err != nil || len(files) < 2 {
		t.Fatal(files, err)
	}
	want := map[string]string{"NoNewPrivs": "1", "Seccomp": "2", "CapInh": "0000000000000000"}
	// Programs with C code have threads that the runtime does not know.
	if _, _, errno := syscall.AllThreadsSyscall(unix.SYS_GETPID, 0, 0, 0); errno == 0 {
		want["CapEff"], want["CapPrm"] = "00000000800024fb", "00000000800024fb"
	}
	for _, file := range files {
		status, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(status)) {
			key, value, _ := strings.Cut(strings.TrimSpace(line), ":\t")
			if expected, ok := want[key]; ok && value != expected {
				t.Errorf("%s: %s %s, want %s", file, key, value, expected)
			}
		}
	}
}

// TestAttacksAreReal: on the host itself those that change nothing succeed.
func TestAttacksAreReal(t *testing.T) {
	h := startTargets(t)
	for _, a := range attacks {
		switch a.name {
		case "read a file of the host", "connect to a socket in the host's files", "connect to an abstract socket of the host",
			"connect to the host's loopback", "see a process of the host", "signal a process of the host":
			if err := a.try(h); err != nil {
				t.Errorf("%s: %v", a.name, err)
			}
		}
	}
}

func inProc(pid int, name string) string { return filepath.Join("/proc", strconv.Itoa(pid), name) }

// opens reports whether a file can be opened, and changes nothing.
func opens(name string, flags int) error {
	fd, err := unix.Open(name, flags|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	return unix.Close(fd)
}

// called reports whether a system call succeeds that returns a descriptor.
func called(number uintptr, args ...uintptr) error {
	var a [6]uintptr
	copy(a[:], args)
	fd, _, errno := unix.Syscall6(number, a[0], a[1], a[2], a[3], a[4], a[5])
	if errno != 0 {
		return errno
	}
	return unix.Close(int(fd))
}
