package proctree

import (
	"bytes"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// view says how the numbers of /proc relate to this pid namespace. Where the
// kernel refused a /proc of its own to a sandbox, the one it has is that of
// an outer pid namespace.
type view struct {
	foreign   bool
	namespace uint64
}

func ownView() view {
	self, err := os.Readlink("/proc/self")
	if err != nil || self == strconv.Itoa(os.Getpid()) {
		return view{}
	}
	namespace, _ := pidNamespace("self")
	return view{foreign: true, namespace: namespace}
}

// translate gives the process the numbers it has in this pid namespace, and
// reports whether it is in there at all.
func (v view) translate(p *process) bool {
	if !v.foreign {
		return true
	}
	name := strconv.Itoa(p.id)
	if namespace, ok := pidNamespace(name); !ok || namespace != v.namespace {
		return false
	}
	status, err := os.ReadFile("/proc/" + name + "/status")
	if err != nil {
		return false
	}
	p.pid = innermost(status, "NSpid:")
	p.group = innermost(status, "NSpgid:")
	p.session = innermost(status, "NSsid:")
	return p.pid > 0
}

func pidNamespace(name string) (uint64, bool) {
	var st unix.Stat_t
	err := unix.Stat("/proc/"+name+"/ns/pid", &st)
	return st.Ino, err == nil
}

// innermost returns the last number of a line of /proc/PID/status, the one
// in the process's own namespace.
func innermost(status []byte, key string) int {
	_, rest, ok := bytes.Cut(status, []byte("\n"+key))
	if !ok {
		return 0
	}
	line, _, _ := bytes.Cut(rest, []byte("\n"))
	fields := bytes.Fields(line)
	if len(fields) == 0 {
		return 0
	}
	return number(fields[len(fields)-1])
}
