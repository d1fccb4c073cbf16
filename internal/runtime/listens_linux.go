package runtime

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"github.com/langsandbox/sandbox-go/internal/sandboxagent/proctree"
)

// listens reports whether a process of the sandbox listens on a port of TCP.
func (b *fencedBox) listens(port uint16) (bool, error) {
	sockets := make(map[string]bool)
	for _, table := range []string{"/proc/self/net/tcp", "/proc/self/net/tcp6"} {
		data, err := os.ReadFile(table)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return false, err
		}
		for _, inode := range listeners(data, port) {
			sockets["socket:["+inode+"]"] = true
		}
	}
	b.mu.Lock()
	for name := range sockets {
		if b.known[name] {
			b.mu.Unlock()
			return true, nil
		}
	}
	b.mu.Unlock()
	if len(sockets) == 0 {
		return false, nil
	}
	name, err := b.holder(sockets)
	if name == "" {
		return false, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.known == nil || len(b.known) == maxKnown {
		b.known = make(map[string]bool)
	}
	b.known[name] = true // the kernel counts sockets on and on
	return true, nil
}

// maxKnown bounds what is kept of listening sockets.
const maxKnown = 1000

// holder returns which of the sockets a process of the sandbox has, if any.
func (b *fencedBox) holder(sockets map[string]bool) (string, error) {
	pids, err := proctree.Tree{Under: b.agent.Pid}.List()
	if err != nil {
		return "", err
	}
	for _, pid := range pids {
		dir := "/proc/" + strconv.Itoa(pid) + "/fd"
		fds, _ := os.ReadDir(dir) // gone, or the agent's own
		for _, fd := range fds {
			if target, err := os.Readlink(dir + "/" + fd.Name()); err == nil && sockets[target] {
				return target, nil
			}
		}
	}
	return "", nil
}

// Fields of a line of /proc/net/tcp.
const (
	tcpLocal = 1
	tcpState = 3
	tcpInode = 9

	tcpListen = "0A"
)

// listeners returns the inodes of sockets that listen on a port.
func listeners(table []byte, port uint16) []string {
	suffix := ":" + strings.ToUpper(hex.EncodeToString([]byte{byte(port >> 8), byte(port)}))
	var inodes []string
	for line := range bytes.Lines(table) {
		fields := strings.Fields(string(line))
		if len(fields) > tcpInode && fields[tcpState] == tcpListen && strings.HasSuffix(fields[tcpLocal], suffix) {
			inodes = append(inodes, fields[tcpInode])
		}
	}
	return inodes
}
