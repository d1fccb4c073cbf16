package runtime

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func init() {
	helpers["fence"] = fenceHelper
	helpers["signal"] = signalHelper
}

// tries are what commands behind a fence may not do, by name: the operand
// comes from the test.
var tries = map[string]func(operand string) error{
	"read":   func(name string) error { _, err := os.ReadFile(name); return err },
	"list":   func(name string) error { _, err := os.ReadDir(name); return err },
	"write":  func(name string) error { return os.WriteFile(name, nil, 0o644) },
	"remove": os.Remove,
	"cut":    func(name string) error { return unix.Truncate(name, 1) },
	"trunc":  opened(unix.O_RDONLY | unix.O_TRUNC),
	"trunc3": opened(unix.O_ACCMODE | unix.O_TRUNC),
	"openat2": func(name string) error {
		fd, err := unix.Openat2(unix.AT_FDCWD, name, &unix.OpenHow{Flags: unix.O_RDONLY | unix.O_TRUNC})
		_ = unix.Close(fd)
		return err
	},
	"link":   func(name string) error { return os.Link(name, "link") },
	"rename": func(name string) error { return os.Rename(name, "renamed") },
	"connect": func(address string) error {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
		}
		return err
	},
	"udp":      socket(unix.AF_INET, unix.SOCK_DGRAM, 0),
	"raw":      socket(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_ICMP),
	"mptcp":    socket(unix.AF_INET6, unix.SOCK_STREAM, unix.IPPROTO_MPTCP),
	"unix":     socket(unix.AF_UNIX, unix.SOCK_STREAM, 0),
	"packet":   socket(unix.AF_PACKET, unix.SOCK_RAW, 0),
	"vsock":    socket(unix.AF_VSOCK, unix.SOCK_STREAM, 0),
	"audit":    socket(unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_AUDIT),
	"datagram": func(string) error { _, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM, 0); return err },
	"fastopen": fastOpen,
	"userns":   func(string) error { return unix.Unshare(unix.CLONE_NEWUSER) },
	"netns":    func(string) error { return unix.Unshare(unix.CLONE_NEWNET) },
	"mount":    func(string) error { return unix.Mount("tmpfs", "/tmp", "tmpfs", 0, "") },
	"shm":      func(string) error { _, err := unix.SysvShmGet(1, 1, unix.IPC_CREAT|0o600); return err },
	"limit": func(pid string) error {
		return unix.Prlimit(atoi(pid), unix.RLIMIT_CPU, &unix.Rlimit{Cur: 1000000, Max: unix.RLIM_INFINITY}, nil)
	},
	"trace":  func(pid string) error { return unix.PtraceAttach(atoi(pid)) },
	"memory": func(pid string) error { _, err := os.ReadFile("/proc/" + pid + "/environ"); return err },
}

func opened(flags int) func(string) error {
	return func(name string) error {
		fd, err := unix.Open(name, flags, 0)
		_ = unix.Close(fd)
		return err
	}
}

func socket(family, kind, protocol int) func(string) error {
	return func(string) error { _, err := unix.Socket(family, kind, protocol); return err }
}

func fastOpen(address string) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	_, port, _ := net.SplitHostPort(address)
	return unix.Sendto(fd, []byte("x"), unix.MSG_FASTOPEN, &unix.SockaddrInet4{Port: atoi(port), Addr: [4]byte{127, 0, 0, 1}})
}

func atoi(s string) int { n, _ := strconv.Atoi(s); return n }

// fenceHelper prints which of its arguments, as name=operand, were allowed.
func fenceHelper() error {
	for try := range strings.FieldsSeq(os.Getenv(listenKey)) {
		name, operand, _ := strings.Cut(try, "=")
		if err := tries[name](operand); err == nil {
			fmt.Println(try)
		}
	}
	return nil
}

// signalHelper signals a process, and reports whether it could.
func signalHelper() error { return unix.Kill(atoi(os.Getenv(listenKey)), 0) }

// helped runs a helper of this program in a sandbox that has it, and returns
// what it printed.
func helped(t *testing.T, box Sandbox, name, operand string) (string, ExitStatus) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	j := start(t, box, Command{
		Args: []string{inside(box, "/program/") + filepath.Base(self)},
		Env:  []string{helperKey + "=" + name, listenKey + "=" + operand},
	})
	output := j.readAll(t)
	return output, j.waitEnd(t)
}

func startLandlock(t *testing.T) Runtime {
	t.Helper()
	return mode{"landlock", newLandlock}.start(t)
}

// TestFence tries to get over the fence.
func TestFence(t *testing.T) {
	rt := startLandlock(t)
	box := createWithProgram(t, rt, "box")
	outside := t.TempDir()
	secret := filepath.Join(outside, "secret")
	if err := os.WriteFile(secret, []byte("secret"), 0o644); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	self := strconv.Itoa(os.Getpid())
	all := []string{
		"read=" + secret, "list=" + outside, "list=/", "list=/home", "list=/proc", "list=/etc", "read=/etc/shadow", "read=/proc/1/cmdline",
		"read=/proc/" + self + "/cmdline", "write=" + secret, "write=" + outside + "/new", "write=/tmp/" + t.Name(), "write=/dev/shm/" + t.Name(),
		"write=/proc/sys/kernel/core_pattern", "remove=" + secret, "link=" + secret, "rename=" + secret,
		"connect=" + l.Addr().String(), "fastopen=" + l.Addr().String(),
		"udp", "raw", "mptcp", "unix", "packet", "vsock", "audit", "datagram", "userns", "netns", "mount", "shm",
		"limit=" + self, "trace=" + self, "memory=" + self,
	}
	if output, status := helped(t, box, "fence", strings.Join(all, " ")); output != "" || status.Code != 0 {
		t.Errorf("over the fence, %+v:\n%s", status, output)
	}
	if data, err := os.ReadFile(secret); err != nil || string(data) != "secret" {
		t.Errorf("%q, %v", data, err)
	}
	// The same program can do what it may.
	allowed := []string{"read=/etc/os-release", "read=/proc/cpuinfo", "list=/usr", "write=own", "link=own", "write=/dev/null", "list=."}
	output, status := helped(t, box, "fence", strings.Join(allowed, " "))
	if got := strings.Fields(output); len(got) != len(allowed) || status.Code != 0 {
		t.Errorf("%+v: allowed are %q", status, got)
	}
	if rt.(*processRuntime).Features().Landlock < 6 {
		return
	}
	keeper := box.(*processBox).launcher.(*fencedBox).agent.Pid
	for _, pid := range []int{os.Getpid(), keeper} {
		if _, status := helped(t, box, "signal", strconv.Itoa(pid)); status.Code == 0 {
			t.Errorf("process %d could be signalled", pid)
		}
	}
}

// TestFenceIsOne signals a command from another one.
func TestFenceIsOne(t *testing.T) {
	rt := startLandlock(t)
	box := create(t, rt, Spec{})
	j := start(t, box, shell("echo started; exec sleep 1000"))
	j.readLine(t)
	run(t, box, fmt.Sprintf("kill -TERM %d", j.PID()))
	if status := j.waitEnd(t); status.Signal != int(syscall.SIGTERM) {
		t.Errorf("%+v", status)
	}
}

// TestFenceReadOnlyMount has the kernel keep commands from writing, and the
// server itself.
func TestFenceReadOnlyMount(t *testing.T) {
	rt := startLandlock(t)
	volume := t.TempDir()
	if err := os.WriteFile(filepath.Join(volume, "x"), []byte("kept"), 0o644); err != nil {
		t.Fatal(err)
	}
	box := createWithProgram(t, rt, "box", Mount{Source: volume, Target: "/data", ReadOnly: true})
	dir := inside(box, "/data")
	tries := []string{"cut=" + dir + "/x", "trunc=" + dir + "/x", "trunc3=" + dir + "/x", "openat2=" + dir + "/x", "write=" + dir + "/x"}
	if output, status := helped(t, box, "fence", strings.Join(tries, " ")); output != "" || status.Code != 0 {
		t.Errorf("%+v:\n%s", status, output)
	}
	if got := run(t, box, "cat "+dir+"/x; (echo no >"+dir+"/x) 2>/dev/null; (echo no >"+dir+"/y) 2>/dev/null; true"); got != "kept" {
		t.Errorf("%q", got)
	}
	for _, flag := range []int{os.O_WRONLY, os.O_RDWR, os.O_RDONLY | os.O_CREATE, os.O_RDONLY | os.O_TRUNC} {
		if file, err := box.OpenFile(t.Context(), "/data/x", flag, 0o644); !errors.Is(err, syscall.EROFS) {
			t.Errorf("flag %x: %v, %v", flag, file, err)
		}
	}
	if got := mustRead(t, box, "/data/x"); got != "kept" || len(entries(t, volume)) != 1 {
		t.Errorf("%q, %q", got, entries(t, volume))
	}
}

// TestFenceDialsOwn does not lead to what listens on the host.
func TestFenceDialsOwn(t *testing.T) {
	rt := startLandlock(t)
	box := create(t, rt, Spec{})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if conn, err := box.Dial(t.Context(), "tcp", l.Addr().String()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("%v, %v", conn, err)
	}
}

// hidden is a script that leaves a process without a parent, session, terminal
// or environment of its command, and prints its number.
const hidden = `env -i setsid sh -c 'env -i setsid sleep 1000 </dev/null >/dev/null 2>&1 & echo $!'`

// TestFenceKeepsTrack ends what tries to get away, whatever ends first.
func TestFenceKeepsTrack(t *testing.T) {
	rt := startLandlock(t)
	for name, end := range map[string]func(t *testing.T, box Sandbox){
		"close": func(*testing.T, Sandbox) {},
		"agent": func(t *testing.T, box Sandbox) { // a command may end its own sandbox
			_, _ = box.Start(t.Context(), shell("kill -KILL $PPID")) // perhaps before the answer
			<-box.Done()
		},
		"server": func(_ *testing.T, box Sandbox) { // the kernel closes what it had open
			box.(*processBox).launcher.(*fencedBox).lifeline.Close()
			<-box.Done()
		},
	} {
		t.Run(name, func(t *testing.T) {
			box := create(t, rt, Spec{ID: name})
			pid := atoi(run(t, box, hidden))
			if err := unix.Kill(pid, 0); pid <= 1 || err != nil {
				t.Fatalf("process %d: %v", pid, err)
			}
			end(t, box)
			if err := box.Close(); err != nil {
				t.Error(err)
			}
			if err := unix.Kill(pid, 0); !errors.Is(err, unix.ESRCH) {
				t.Errorf("process %d is left: %v", pid, err)
			}
			if _, err := box.Start(t.Context(), shell("true")); !errors.Is(err, ErrClosed) {
				t.Errorf("after the end: %v", err)
			}
		})
	}
}

func TestListeners(t *testing.T) {
	const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 111 1 0000000000000000 100 0 0 10 0
   1: 0100007F:1F90 0100007F:D431 01 00000000:00000000 00:00000000 00000000     0        0 222 1 0000000000000000 20 4 30 10 -1
   2: 00000000:001F 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 333 1 0000000000000000 100 0 0 10 0
   3: short
`
	for port, want := range map[uint16]string{8080: "111", 31: "333", 80: ""} {
		if got := strings.Join(listeners([]byte(table), port), " "); got != want {
			t.Errorf("%d: %q", port, got)
		}
	}
}
