package sandboxserver

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/langsandbox/sandbox-go/gen"
)

// victim is a server in a process of its own.
type victim struct {
	t     *testing.T
	cmd   *exec.Cmd
	stdin io.WriteCloser
	lines *bufio.Reader
	url   string
}

func startVictim(t *testing.T, dir string) *victim {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), crashDirVar+"="+dir)
	cmd.Stderr = os.Stderr
	stdin, err1 := cmd.StdinPipe()
	stdout, err2 := cmd.StdoutPipe()
	if err := errors.Join(err1, err2, cmd.Start()); err != nil {
		t.Fatal(err)
	}
	v := &victim{t: t, cmd: cmd, stdin: stdin, lines: bufio.NewReader(stdout)}
	t.Cleanup(v.kill)
	line, err := v.lines.ReadString('\n')
	if err != nil {
		t.Fatalf("the server does not start: %v", err)
	}
	v.url = strings.TrimSpace(line)
	return v
}

// kill kills the server, if it has not ended.
func (v *victim) kill() {
	if v.cmd.ProcessState == nil {
		_ = v.cmd.Process.Kill()
		_ = v.cmd.Wait()
	}
}

// dieAt has the server kill itself at a write to come; see dieAtWrite.
func (v *victim) dieAt(write int) {
	v.t.Helper()
	_, err1 := fmt.Fprintln(v.stdin, write)
	_, err2 := v.lines.ReadString('\n')
	if err := errors.Join(err1, err2); err != nil {
		v.t.Fatal(err)
	}
}

func (v *victim) close() {
	v.t.Helper()
	v.stdin.Close()
	if err := v.cmd.Wait(); err != nil {
		v.t.Error(err)
	}
}

// call sends a request. Status 0 is none: the server is gone.
func (v *victim) call(method, path string, body any) (status int, answer []byte) {
	data, err := json.Marshal(body)
	if err != nil {
		panic(err)
	}
	r, err := http.NewRequestWithContext(context.Background(), method, v.url+path, bytes.NewReader(data))
	if err != nil {
		panic(err)
	}
	r.Header.Set("X-Api-Key", testKey)
	r.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, nil
	}
	defer resp.Body.Close()
	if answer, err = io.ReadAll(resp.Body); err != nil {
		return 0, nil
	}
	return resp.StatusCode, answer
}

func (v *victim) get(path string, into any) int {
	v.t.Helper()
	status, answer := v.call("GET", "/v2/sandboxes"+path, nil)
	if status == 422 {
		v.t.Fatalf("%s: %s", path, answer)
	}
	if status == 200 {
		if err := json.Unmarshal(answer, into); err != nil {
			v.t.Fatal(err)
		}
	}
	return status
}

func (v *victim) execute(name, command string) (stdout string, ok bool) {
	status, answer := v.call("POST", "/v2/sandboxes/"+name+"/execute", map[string]any{"command": command})
	var result gen.ExecuteResult
	if status != 200 || json.Unmarshal(answer, &result) != nil || result.ExitCode == nil || *result.ExitCode != 0 {
		return string(answer), false
	}
	return result.Stdout, true
}

// must sends a request that has to be answered with this status.
func (v *victim) must(want int, method, path string, body any, into any) {
	v.t.Helper()
	status, answer := v.call(method, "/v2/sandboxes"+path, body)
	if status != want {
		v.t.Fatalf("%s %s: %d %s", method, path, status, answer)
	}
	if into != nil {
		if err := json.Unmarshal(answer, into); err != nil {
			v.t.Fatal(err)
		}
	}
}

// snapshot captures a sandbox and waits for it.
func (v *victim) snapshot(box, name string) (s gen.Snapshot) {
	v.t.Helper()
	v.must(201, "POST", "/boxes/"+box+"/snapshot", map[string]any{"name": name}, &s)
	v.eventually("a snapshot", func() error {
		v.must(200, "GET", "/snapshots/"+s.ID, nil, &s)
		if s.Status == gen.SnapshotBuilding {
			return errors.New("building")
		}
		return nil
	})
	if s.Status != gen.SnapshotReady {
		v.t.Fatalf("%+v", s)
	}
	return s
}

func (v *victim) eventually(what string, check func() error) {
	v.t.Helper()
	var err error
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if err = check(); err == nil {
			return
		}
	}
	v.t.Fatalf("%s: %v", what, err)
}

// run runs a command in a sandbox.
func (v *victim) run(box, command, want string) {
	v.t.Helper()
	v.eventually(box+" runs", func() error {
		if got, ok := v.execute(box, command); !ok || got != want {
			return fmt.Errorf("%q, %v", got, ok)
		}
		return nil
	})
}

func namesIn(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

// process is one at a time: numbers are used again.
type process struct {
	pid   int
	start string
}

func (p process) lives() bool {
	fields := stat(p.pid)
	return len(fields) > 19 && fields[19] == p.start && fields[0] != "Z"
}

// stat is what the kernel tells of a process, from its state on.
func stat(pid int) []string {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	_, rest, found := strings.Cut(string(data), ") ")
	if err != nil || !found {
		return nil
	}
	return strings.Fields(rest)
}

func allProcesses() (pids []int) {
	entries, _ := os.ReadDir("/proc")
	for _, entry := range entries {
		if pid, err := strconv.Atoi(entry.Name()); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// descendants are the processes that came from one.
func descendants(top int) (found []process) {
	in := map[int]bool{top: true}
	for grew := true; grew; {
		grew = false
		for _, pid := range allProcesses() {
			fields := stat(pid)
			if in[pid] || len(fields) < 20 {
				continue
			}
			if parent, _ := strconv.Atoi(fields[1]); in[parent] {
				in[pid], grew = true, true
				found = append(found, process{pid, fields[19]})
			}
		}
	}
	return found
}

// havingInEnv are the processes that have a text in their environment.
func havingInEnv(mark string) (pids []int) {
	for _, pid := range allProcesses() {
		if env, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/environ"); err == nil && bytes.Contains(env, []byte(mark)) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// crashCgroups are the cgroups of a runtime in a directory.
func crashCgroups(dir string) (left []string) {
	name := fnv.New64a()
	name.Write([]byte(dir))
	prefix := fmt.Sprintf("langsandbox-%016x-", name.Sum64())
	_ = filepath.WalkDir("/sys/fs/cgroup", func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() && strings.HasPrefix(entry.Name(), prefix) {
			left = append(left, path)
		}
		return nil
	})
	return left
}

// ignoreFileSize makes a write beyond the limit of file sizes an error.
func ignoreFileSize() { signal.Ignore(syscall.SIGXFSZ) }
