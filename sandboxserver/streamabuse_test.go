package sandboxserver_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

func TestStreamMessageThatIsTooLarge(t *testing.T) {
	t.Parallel()
	b := newStreamBox(t)
	c := b.dial()
	c.execute("read -r a; echo $a", m{"command_id": "cmd"})
	// The server may hang up before all of it is sent.
	_ = c.conn.Write(c.ctx, websocket.MessageText, []byte(`{"type":"input","data":"`+strings.Repeat("x", 17<<20)+`"}`))
	if f, err := c.read(); err == nil {
		t.Errorf("frame %s", show(f))
	}
	c = b.dial()
	c.reconnect("cmd", 0, 0)
	c.send(m{"type": "input", "data": "fine\n"})
	c.exits(0)
	c.want("fine\n", "")
}

func TestStreamFloodOfControlFrames(t *testing.T) {
	t.Parallel()
	b := newStreamBox(t)
	c := b.dial()
	c.execute("stty size; read -r a; stty size", m{"pty": true})
	c.until("24 80")
	for i := range 5000 {
		c.send(m{"type": "resize", "cols": 1 + i, "rows": 2})
		c.send(m{"type": "resize", "cols": -i, "rows": 1 << 20})
		c.send(m{"type": "of another time", "data": i})
		c.send(m{"type": "input", "data": ""})
		c.send(m{"type": "close_stdin"})
	}
	c.send(m{"type": "resize", "cols": 90, "rows": 30})
	c.typeLine("", "30 90")
	c.exits(0)
}

// TestStreamLeavesNothingBehind closes a server with commands of every kind on
// it: files, descriptors and processes have to go. TestMain counts goroutines.
func TestStreamLeavesNothingBehind(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp) // and not parallel: counts what the process has
	warm := newStreamBox(t)  // what the first use opens stays open
	warm.run("true")
	warm.close()
	before := descriptors(t)
	mark := fmt.Sprintf("3%09d", rand.IntN(1e9))
	b := newStreamBox(t)
	var clients []*client
	for i, command := range []m{
		{"command": "head -c 9000000 /dev/zero; sleep " + mark},               // to a file
		{"command": "head -c 9000000 /dev/zero; setsid sleep " + mark + " &"}, // and a child with the output
		{"command": "read -r a; sleep " + mark, "pty": true},
		{"command": "sleep " + mark},
	} {
		c := b.dial()
		command["type"], command["command_id"] = "execute", strconv.Itoa(i)
		c.send(command)
		c.started()
		if i < 2 {
			c.drop()
		} else {
			clients = append(clients, c)
		}
	}
	stuck := b.dial()
	stuck.execute("yes", nil) // reads nothing
	deadline := time.Now().Add(time.Minute)
	for b.marked(mark) < 3 {
		if time.Now().After(deadline) {
			t.Fatal("the commands do not start")
		}
	}
	b.close()
	if entries, err := os.ReadDir(temp); err != nil || len(entries) > 0 {
		t.Errorf("files are left: %v %v", entries, err)
	}
	for _, c := range append(clients, stuck) {
		c.drop()
	}
	for descriptors(t) > before {
		if time.Now().After(deadline) {
			t.Fatalf("%d descriptors, %d before", descriptors(t), before)
		}
		runtime.Gosched()
	}
	for _, entry := range hostProcesses(t) {
		line, _ := os.ReadFile("/proc/" + entry + "/cmdline")
		if strings.Contains(string(line), mark) {
			t.Errorf("process %s is left: %q", entry, line)
		}
	}
}

// descriptors counts the open files of this process; 0 where they cannot be
// counted.
func descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	return len(entries)
}

func hostProcesses(t *testing.T) (pids []string) {
	t.Helper()
	entries, _ := os.ReadDir("/proc")
	for _, entry := range entries {
		if name := entry.Name(); name[0] >= '0' && name[0] <= '9' {
			pids = append(pids, name)
		}
	}
	return pids
}
