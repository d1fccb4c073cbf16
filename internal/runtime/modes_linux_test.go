package runtime

import (
	"bytes"
	"cmp"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

var modes = []mode{
	{"native", func(cfg Config) (Runtime, error) { return openMode(cfg, detectIDs, true) }},
	{"native-search", func(cfg Config) (Runtime, error) { return openMode(cfg, detectIDs, false) }},
	{"native-rootless", func(cfg Config) (Runtime, error) { return openMode(cfg, onlyRootless, true) }},
	{"landlock", newLandlock},
	{"process", newProcess},
	{"oci", func(cfg Config) (Runtime, error) {
		cfg.OCI = ociProgram()
		return newOCI(cfg)
	}},
	containerMode("crun"),
	containerMode("runc"),
}

func modeOf(name string) mode {
	return modes[slices.IndexFunc(modes, func(m mode) bool { return m.name == name })]
}

// containerMode has a program on PATH, if there is one, make containers.
func containerMode(program string) mode {
	return mode{"native-" + program, func(cfg Config) (Runtime, error) {
		cfg, err := cfg.complete()
		if err != nil {
			return nil, err
		}
		cfg.OCI = program
		return newOCI(cfg)
	}}
}

// ociVariable names the program that the tests of containers use: runsc if
// there is one on PATH, else none.
const ociVariable = "SANDBOX_TEST_OCI_RUNTIME"

func ociProgram() string { return cmp.Or(os.Getenv(ociVariable), "runsc") }

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

func openMode(cfg Config, detect func() (idMap, error), withCgroups bool) (Runtime, error) {
	ids, err := detect()
	if err != nil {
		return nil, err
	}
	n, err := openNative(cfg, ids, withCgroups)
	if err != nil {
		return nil, err
	}
	return n, nil
}

func openDetected(cfg Config, withCgroups bool) (*native, error) {
	ids, err := detectIDs()
	if err != nil {
		return nil, err
	}
	return openNative(cfg, ids, withCgroups)
}

// onlyRootless leaves it at one id for those who have more.
func onlyRootless() (idMap, error) {
	if ids, err := detectIDs(); err != nil || !ids.subordinate() {
		return ids, fmt.Errorf("%w: it is the same as native here", ErrUnsupported)
	}
	return oneID(), nil
}

func hostHoldings(h *held) {
	fds, _ := os.ReadDir("/proc/self/fd")
	var open []string
	for _, fd := range fds {
		if target, err := os.Readlink("/proc/self/fd/" + fd.Name()); err == nil {
			open = append(open, target)
		}
	}
	slices.Sort(open)
	h.descriptors = strings.Join(open, " ")
	mounts, _ := os.ReadFile("/proc/self/mountinfo")
	h.mounts = bytes.Count(mounts, []byte("\n"))
	h.children = len(children())
}

// cgroupsIn lists the cgroups of a runtime's sandboxes.
func cgroupsIn(dir string) []string {
	root, own, err := ownCgroup()
	if err != nil {
		return nil
	}
	dirs, _ := listCgroups(cgroupPrefix(cgroupHome(root, own), dir))
	for _, controller := range controllers {
		if own, err := ownHierarchy(controller); err == nil {
			limits, _ := listCgroups(cgroupPrefix(own, dir))
			dirs = append(dirs, limits...)
		}
	}
	return dirs
}

// children lists the processes that this one is the parent of.
func children() []int {
	var list []int
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, name := range stats {
		data, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		_, rest, _ := strings.Cut(string(data), ") ")
		fields := strings.Fields(rest)
		if len(fields) > 1 && fields[1] == strconv.Itoa(os.Getpid()) {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(name)))
			list = append(list, pid)
		}
	}
	return list
}

func (r *processRuntime) base() *layers { return r.layers }
func (n *native) base() *layers         { return n.layers }

func (b *processBox) base() *layers  { return b.rt.layers }
func (s *leftSandbox) base() *layers { return s.layers }
func (s *sandbox) base() *layers     { return s.rt.layers }
