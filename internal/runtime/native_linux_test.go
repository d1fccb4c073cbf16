package runtime

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// startNative opens a native runtime, or skips the test with the reason.
func startNative(t *testing.T) *native {
	t.Helper()
	return modes[0].start(t).(*native)
}

// eachNative runs a test in namespaces that this process makes, and in those
// that the programs make which are there.
func eachNative(t *testing.T, test func(t *testing.T, n *native)) {
	t.Helper()
	for _, name := range []string{"native", "native-crun", "native-runc"} {
		t.Run(name, func(t *testing.T) { test(t, modeOf(name).start(t).(*native)) })
	}
}

func TestIsolation(t *testing.T) { eachNative(t, testIsolation) }

func testIsolation(t *testing.T, n *native) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	box := create(t, n, Spec{Hostname: "inside"})
	tests := []struct{ name, script, want string }{
		{"user", "id -u", "0"},
		{"host name", "hostname", "inside"},
		{"host files", "ls " + secret + " 2>/dev/null; ls /home /boot 2>/dev/null; true", "/home:\nuser"},
		{"passwords", "cat /etc/shadow 2>/dev/null || echo none", "none"},
		{"processes", "set -- /proc/[0-9]*; echo $#", "2"}, // agent, shell
		{"network", "ls /proc/sys/net/ipv4/conf | tr '\\n' ' '", "all default lo"},
		{"loopback", "cat /proc/net/route | wc -l; grep -c 127.0.0.1 /proc/net/fib_trie > /dev/null && echo up", "1\nup"},
		{"privileges", "grep NoNewPrivs /proc/self/status", "NoNewPrivs:\t1"},
		{"capabilities", "grep -E 'Cap(Inh|Prm|Eff|Bnd|Amb)' /proc/self/status | cut -f2 | sort -u", "0000000000000000\n00000000800024fb"},
		{"mount", "mount -t tmpfs none /mnt 2>/dev/null; unshare -m true 2>/dev/null || echo refused", "refused"},
		{"user namespace", "unshare -U true 2>/dev/null || echo refused", "refused"},
		{"device", "mknod /tmp/sda b 8 0 2>/dev/null || echo refused", "refused"},
		{"agent's memory", "head -c 1 /proc/1/mem 2>/dev/null || cat /proc/1/environ 2>/dev/null || readlink /proc/1/fd/3 /proc/1/exe || ls /proc/1/root/ 2>/dev/null || echo refused", "refused"},
		{"sysctl", "(echo x > /proc/sys/kernel/core_pattern) 2>/dev/null || echo refused", "refused"},
		{"nested limit", "(echo 9 > /proc/sys/user/max_user_namespaces) 2>/dev/null || echo refused", "refused"},
		{"devices", "echo x > /dev/null && head -c 3 /dev/zero | wc -c && test -c /dev/urandom && test -c /dev/ptmx && test -d /dev/shm && echo ok", "3\nok"},
		{"umask", "umask", "0022"},
		{"core", "ulimit -c", "0"},
		{"standard links", "(echo via fd > /dev/stderr) 2>&1", "via fd"},
	}
	for _, test := range tests {
		if got := run(t, box, test.script); got != test.want {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
	own := run(t, box, "cat /proc/self/oom_score_adj")
	if score, err := os.ReadFile("/proc/self/oom_score_adj"); err == nil {
		base, _ := strconv.Atoi(strings.TrimSpace(string(score)))
		if own != strconv.Itoa(min(base+500, 1000)) {
			t.Errorf("oom score %s, the server's is %d", own, base)
		}
	}
}

// TestNotHostRoot looks at the sandbox from outside.
func TestNotHostRoot(t *testing.T) { eachNative(t, testNotHostRoot) }

func testNotHostRoot(t *testing.T, n *native) {
	box := create(t, n, Spec{}).(*sandbox)
	for _, name := range []string{"uid_map", "gid_map"} {
		extents, err := readExtents(fmt.Sprintf("/proc/%d/%s", box.agent.Pid, name))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range extents {
			if e.outer == 0 {
				t.Errorf("%s: %+v", name, e)
			}
		}
	}
	run(t, box, "touch /app/x")
	if owner := ownerOf(filepath.Join(n.layers.path("box"), "root/app/x")); owner != n.ids.uid {
		t.Errorf("file of %d, want %d", owner, n.ids.uid)
	}
}

func TestTools(t *testing.T) {
	n := startNative(t)
	box := create(t, n, Spec{})
	for tool, script := range map[string]string{
		"/usr/bin/python3": `python3 -c 'import ssl, json, sqlite3; print(2 + 2)'`,
		"/usr/bin/node":    `node -e 'console.log(2 + 2)'`,
		"/usr/bin/gcc":     `echo 'int main(){return 4;}' > x.c && gcc x.c -o x && { ./x; echo $?; }`,
		"/usr/bin/git":     `git init -q r && cd r && git -c user.name=a -c user.email=b commit -q --allow-empty -m m && git log --oneline | wc -l | sed 's/1/4/'`,
	} {
		if _, err := os.Stat(tool); err != nil {
			continue
		}
		if got := run(t, box, script); got != "4" {
			t.Errorf("%s: %q", tool, got)
		}
	}
}

func TestUsr(t *testing.T) {
	n := startNative(t)
	a, b := create(t, n, Spec{ID: "a"}), create(t, n, Spec{ID: "b"})
	if !n.features.WritableUsr {
		if got := run(t, a, "touch /usr/bin/mine 2>/dev/null || echo refused"); got != "refused" {
			t.Errorf("read-only /usr: %s", got)
		}
		return
	}
	run(t, a, "echo a > /usr/local/bin/mine && mkdir -p /usr/local/lib/mine && touch /usr/local/lib/mine/x /usr/bin/mine /usr/lib/mine")
	if got := run(t, b, "ls /usr/local/bin/mine 2>/dev/null || echo none"); got != "none" {
		t.Errorf("in another sandbox: %q", got)
	}
	if _, err := os.Lstat("/usr/local/bin/mine"); err == nil {
		t.Error("on the host")
	}
	if got, want := run(t, a, "ls /usr/bin | wc -l"), len(entries(t, "/usr/bin"))+1; got != strconv.Itoa(want) {
		t.Errorf("%s programs, want %d", got, want)
	}
	if err := a.Stop(); err != nil {
		t.Fatal(err)
	}
	again := create(t, n, Spec{ID: "a"})
	if got := mustRead(t, again, "/usr/local/bin/mine"); got != "a\n" {
		t.Errorf("after a stop: %q", got)
	}
}

// TestInheritedFiles has a file of the server that is not close-on-exec.
func TestInheritedFiles(t *testing.T) {
	n := startNative(t)
	fd, err := unix.Open("/etc/hostname", unix.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	box := create(t, n, Spec{})
	// The shell's own three, and the directory that ls reads.
	if got := run(t, box, "ls /proc/self/fd | tr '\\n' ' '"); got != "0 1 2 3" {
		t.Errorf("descriptors %q", got)
	}
}

func TestHostNetwork(t *testing.T) {
	n := startNative(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	script := "(exec 3<>/dev/tcp/127.0.0.1/" + port + ") 2>/dev/null && echo open || echo closed"
	script = "bash -c '" + script + "'"
	private, host := create(t, n, Spec{ID: "private"}), create(t, n, Spec{ID: "host", HostNetwork: true})
	if got := run(t, private, script); got != "closed" {
		t.Errorf("private network: %s", got)
	}
	if got := run(t, host, script); got != "open" {
		t.Errorf("the host's network: %s", got)
	}
}

// TestSignalAgent has commands attack the first process with signals.
func TestSignalAgent(t *testing.T) {
	n := startNative(t)
	box := create(t, n, Spec{})
	run(t, box, "for s in HUP INT QUIT ABRT TERM KILL SEGV USR1 PIPE STOP TSTP; do kill -$s 1; done 2>/dev/null; true")
	if got := run(t, box, "echo alive"); got != "alive" {
		t.Errorf("got %q", got)
	}
}

func TestReapOrphans(t *testing.T) {
	n := startNative(t)
	box := create(t, n, Spec{})
	run(t, box, "for i in $(seq 50); do (true &) ; done")
	eventually(t, "no zombies", func() error {
		if got := run(t, box, "grep -l 'State:.Z' /proc/[0-9]*/status 2>/dev/null | wc -l"); got != "0" {
			return fmt.Errorf("%s zombies", got)
		}
		return nil
	})
}

func TestAgentEnds(t *testing.T) {
	n := startNative(t)
	box := create(t, n, Spec{}).(*sandbox)
	j := start(t, box, shell("echo started; sleep 1000"))
	j.readLine(t)
	if err := box.agent.Kill(); err != nil {
		t.Fatal(err)
	}
	<-box.Done()
	j.readAll(t)
	if _, err := j.Wait(t.Context()); !errors.Is(err, ErrClosed) {
		t.Errorf("wait: %v", err)
	}
	if _, err := box.Start(t.Context(), shell("true")); !errors.Is(err, ErrClosed) {
		t.Errorf("start: %v", err)
	}
	if err := box.Close(); err != nil {
		t.Error(err)
	}
}

// TestKernelFiles makes sure that no file that acts on the kernel is given out.
func TestKernelFiles(t *testing.T) {
	n := startNative(t)
	box := create(t, n, Spec{})
	run(t, box, "ln -s /proc/self/mem mem; ln -s /proc/self/root/etc/passwd magic")
	for _, name := range []string{"/proc/self/mem", "mem", "magic", "/proc/1/mem", "/proc/sys/kernel/hostname", "/dev/null", "/dev/ptmx"} {
		if file, err := box.OpenFile(t.Context(), name, os.O_RDWR, 0); err == nil {
			t.Errorf("opened %s", name)
			file.Close()
		}
	}
}

// TestAbsoluteLinks resolves links as commands do.
func TestAbsoluteLinks(t *testing.T) {
	n := startNative(t)
	box := create(t, n, Spec{})
	run(t, box, "ln -s /app /tmp/app; ln -s /../../../../app/y /tmp/up")
	mustWrite(t, box, "/tmp/app/x", "x")
	mustWrite(t, box, "/tmp/up", "y")
	if got := run(t, box, "cat /app/x /app/y"); got != "xy" {
		t.Errorf("got %q", got)
	}
}

// TestOwners has files of the server's user belong to the sandbox's root.
func TestOwners(t *testing.T) {
	n := startNative(t)
	volume := t.TempDir()
	if err := os.WriteFile(filepath.Join(volume, "x"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	box := create(t, n, Spec{Mounts: []Mount{{Source: volume, Target: "/data"}}})
	if got := run(t, box, "stat -c %u /data/x /app; touch /data/y"); got != "0\n0" {
		t.Errorf("owners %q", got)
	}
	if owner := ownerOf(filepath.Join(volume, "y")); owner != os.Getuid() {
		t.Errorf("on the host %d", owner)
	}
	if got := run(t, box, "stat -c %u /usr/bin/env"); got != "65534" {
		t.Errorf("a file of the host's root is %s's, want nobody's", got)
	}
}

// TestRestartFollowsNoLinks: what a sandbox leaves in its layer leads the next
// start nowhere on the host, and keeps no sandbox from starting.
func TestRestartFollowsNoLinks(t *testing.T) {
	n := startNative(t)
	outside := t.TempDir()
	if err := os.Chmod(outside, 0o777); err != nil {
		t.Fatal(err)
	}
	box := create(t, n, Spec{})
	run(t, box, "cd /usr/local && for d in * */*; do [ -d $d ] && [ ! -L $d ] && rm -rf $d && ln -s "+outside+" $d; done; true")
	if err := box.Stop(); err != nil {
		t.Fatal(err)
	}
	again := create(t, n, Spec{})
	if got := run(t, again, "echo up"); got != "up" {
		t.Errorf("after the restart: %q", got)
	}
	entries, err := os.ReadDir(outside)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) > 0 {
		t.Errorf("the restart made %v on the host", entries)
	}
}

// TestHandOver is what happens to volumes where ids cannot be mapped.
func TestHandOver(t *testing.T) {
	ids, err := detectIDs()
	owned := err == nil && ids.foreign() // else there is nobody to give files to
	if !owned {
		ids = idMap{uid: rangeStart, gid: rangeStart, size: rangeSize}
	}
	trees := &trees{ids: ids}
	empty, full := t.TempDir(), t.TempDir()
	if err := os.Mkdir(filepath.Join(full, "x"), 0o755); err != nil {
		t.Fatal(err)
	}
	reason := errors.New("no mapping")
	if err := trees.hand(full, reason); !errors.Is(err, reason) || ownerOf(full) == ids.uid {
		t.Errorf("full: %v, owner %d", err, ownerOf(full))
	}
	for range 2 {
		err := trees.hand(empty, reason)
		if owned != (err == nil) || owned != (ownerOf(empty) == ids.uid) {
			t.Errorf("empty: %v, owner %d", err, ownerOf(empty))
		}
	}
}

func TestPickRange(t *testing.T) {
	tests := []struct {
		have        []extent
		start, size int
	}{
		{[]extent{{0, 0, 1 << 32}}, 200000, 65536},
		{[]extent{{0, 100000, 65536}}, 32768, 32768},
		{[]extent{{0, 1000, 1}, {1, 100000, 65536}}, 32769, 32768},
		{[]extent{{0, 1000, 1}}, 1, 0},
		{nil, 0, 0},
	}
	for _, test := range tests {
		if start, size := pickRange(test.have); start != test.start || size != test.size {
			t.Errorf("%v: %d %d", test.have, start, size)
		}
	}
}

// TestStepErrors has the agent fail, and looks for the step.
func TestStepErrors(t *testing.T) {
	n := startNative(t)
	_, err := n.Create(t.Context(), Spec{ID: "box", Mounts: []Mount{{Source: t.TempDir(), Target: "/etc/hostname/x"}}})
	if !errors.Is(err, unix.ENOTDIR) || !strings.Contains(err.Error(), "create sandbox box: mkdir /etc/hostname: not a directory") {
		t.Errorf("got %v", err)
	}
}

// TestReadOnlyMount: neither a command nor the server writes to it, and no
// remount changes that.
func TestReadOnlyMount(t *testing.T) {
	n := startNative(t)
	volume := t.TempDir()
	if err := os.WriteFile(filepath.Join(volume, "x"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	box := create(t, n, Spec{Mounts: []Mount{{Source: volume, Target: "/data", ReadOnly: true}}})
	if got := run(t, box, "mount -o remount,rw /data 2>/dev/null; mount -o remount,bind,rw /data 2>/dev/null; cat /data/x; echo y 2>/dev/null >/data/y; rm -f /data/x 2>/dev/null; cat /data/x"); got != "xx" {
		t.Errorf("got %q", got)
	}
	if _, err := box.OpenFile(t.Context(), "/data/y", os.O_WRONLY|os.O_CREATE, 0o644); !errors.Is(err, unix.EROFS) {
		t.Errorf("open for writing: %v", err)
	}
	if got := entries(t, volume); len(got) != 1 {
		t.Errorf("files %q", got)
	}
}
