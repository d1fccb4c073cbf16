package runtime

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// limiter limits sandboxes by cgroups, of the version that has the controller.
type limiter struct {
	places  map[string]place // by controller
	reasons map[string]error // why there is none
}

// place is where the cgroups of a controller are made.
type place struct {
	prefix string
	v2     bool // they are those that sandboxes have anyway
}

var controllers = []string{"cpu", "memory", "pids"}

const cpuPeriod = 100_000 // microseconds

// openLimiter finds where limits can be set, and removes what runtimes left
// there that were killed.
func openLimiter(dir string, v2 *cgroups) *limiter {
	l := &limiter{places: make(map[string]place), reasons: make(map[string]error)}
	for _, controller := range controllers {
		var refused error
		if v2 != nil {
			if refused = enable(filepath.Dir(v2.prefix), controller); refused == nil {
				l.places[controller] = place{v2.prefix, true}
				continue
			}
		}
		prefix, err := openHierarchy(dir, controller)
		switch {
		case err == nil:
			l.places[controller] = place{prefix, false}
		case errors.Is(err, errNoHierarchy) && refused != nil:
			l.reasons[controller] = refused
		default:
			l.reasons[controller] = err
		}
	}
	return l
}

// openHierarchy finds where cgroups of the first version can be made, and says
// how their paths begin.
func openHierarchy(dir, controller string) (prefix string, err error) {
	own, err := ownHierarchy(controller)
	if err != nil {
		return "", err
	}
	prefix = cgroupPrefix(own, dir)
	if err := sweepHierarchy(own, prefix); err != nil {
		return "", err
	}
	if err := os.Mkdir(prefix, 0o755); err != nil {
		return "", err
	}
	return prefix, os.Remove(prefix)
}

// has reports whether a limit holds.
func (l *limiter) has(controller string, v2 *cgroups) bool {
	at, ok := l.places[controller]
	return ok && (!at.v2 || v2 != nil)
}

// enable has the children of a cgroup of the second version limited.
func enable(own, controller string) error {
	file := filepath.Join(own, "cgroup.subtree_control")
	has := func() bool { return lists(file, controller) }
	if has() {
		return nil
	}
	err := os.WriteFile(file, []byte("+"+controller), 0)
	if has() {
		return nil
	}
	if err == nil {
		err = fmt.Errorf("%s does not list it", file)
	}
	return err
}

// lists reports whether a file of a cgroup has a word.
func lists(file, word string) bool {
	data, err := os.ReadFile(file)
	return err == nil && slices.Contains(strings.Fields(string(data)), word)
}

// ownHierarchy finds the cgroup of this process in the first version's
// hierarchy of a controller.
func ownHierarchy(controller string) (string, error) {
	data, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return "", err
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(data)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 || !slices.Contains(strings.Split(parts[1], ","), controller) {
			continue
		}
		if root, point, ok := hierarchy(string(mounts), controller); ok {
			below, err := filepath.Rel(root, parts[2])
			if err != nil || below == ".." || strings.HasPrefix(below, "../") {
				return "", fmt.Errorf("cgroup %s is not below %s", parts[2], root)
			}
			return filepath.Join(point, below), nil
		}
	}
	return "", errNoHierarchy
}

var errNoHierarchy = errors.New("no cgroup with this controller")

// hierarchy finds what is mounted of a controller, and where.
func hierarchy(mounts, controller string) (root, point string, ok bool) {
	for line := range strings.Lines(mounts) {
		before, after, found := strings.Cut(strings.TrimSpace(line), " - ")
		place, kind := strings.Fields(before), strings.Fields(after)
		if found && len(place) >= 5 && len(kind) >= 3 && kind[0] == "cgroup" && slices.Contains(strings.Split(kind[2], ","), controller) {
			return place[3], place[4], true
		}
	}
	return "", "", false
}

// sweepHierarchy removes the cgroups of killed runtimes, as openCgroups does.
func sweepHierarchy(own, prefix string) error {
	old, err := listCgroups(filepath.Join(own, cgroupName))
	if err != nil {
		return err
	}
	for _, dir := range old {
		info, err := os.Stat(dir)
		if err == nil && (strings.HasPrefix(dir, prefix) || time.Since(info.ModTime()) > cgroupStart) {
			_ = os.Remove(dir) // one that is in use stays
		}
	}
	return nil
}

// limit puts an agent, and so all it starts, under limits. What the host has no
// controller for stays unlimited.
func (n *native) limit(box *sandbox, limits Limits) error {
	for _, controller := range controllers {
		values := limits.values(controller)
		if values == nil || !n.limiter.has(controller, n.cgroups) {
			continue
		}
		if err := n.limiter.places[controller].limit(box, values); err != nil {
			return fmt.Errorf("limit %s: %w", controller, err)
		}
	}
	return nil
}

// limit sets the values for a sandbox in the cgroup it has, or in one of their
// own.
func (p place) limit(box *sandbox, values []setting) error {
	dir := p.prefix + box.group
	if !p.v2 && !slices.Contains(box.limited, dir) {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
		box.limited = append(box.limited, dir)
		values = append(values, setting{file: procsFile, text: strconv.Itoa(box.agent.Pid)})
	}
	for _, v := range values {
		if v.v2 != p.v2 {
			continue
		}
		err := writeSetting(filepath.Join(dir, v.file), v.text)
		if err != nil && (!v.optional || !errors.Is(err, fs.ErrNotExist)) {
			return err
		}
	}
	return nil
}

// writeSetting writes to a file that is there: to create one in a cgroup is not
// allowed, and that error says nothing of what is missing.
func writeSetting(name, text string) error {
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return err
	}
	_, err = file.WriteString(text)
	return errors.Join(err, file.Close())
}

// setting is a value of a file of a cgroup.
type setting struct {
	v2         bool
	file, text string
	optional   bool // swap, which not every kernel accounts
}

// values are the settings of a controller, nil if it does not limit.
func (l Limits) values(controller string) []setting {
	number := strconv.FormatInt
	switch {
	case controller == "cpu" && l.CPUMillicores > 0:
		quota := number(max(l.CPUMillicores*(cpuPeriod/1000), 1000), 10)
		return []setting{
			{file: "cpu.cfs_period_us", text: strconv.Itoa(cpuPeriod)},
			{file: "cpu.cfs_quota_us", text: quota},
			{v2: true, file: "cpu.max", text: quota + " " + strconv.Itoa(cpuPeriod)},
		}
	case controller == "memory" && l.MemoryBytes > 0:
		bytes := number(max(l.MemoryBytes, minMemory), 10)
		return []setting{
			{file: "memory.limit_in_bytes", text: bytes},
			{file: "memory.memsw.limit_in_bytes", text: bytes, optional: true},
			{v2: true, file: "memory.max", text: bytes},
			{v2: true, file: "memory.swap.max", text: "0", optional: true},
		}
	case controller == "pids" && l.PIDs > 0:
		most := number(max(l.PIDs, minPIDs), 10)
		return []setting{{file: "pids.max", text: most}, {v2: true, file: "pids.max", text: most}}
	}
	return nil
}

// unlimit removes the cgroups of an ended sandbox.
func (s *sandbox) unlimit() error {
	var err error
	for _, dir := range s.limited {
		err = errors.Join(err, removeLeaf(dir))
	}
	return err
}
