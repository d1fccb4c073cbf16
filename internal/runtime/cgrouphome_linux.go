package runtime

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// serverCgroup is where this process goes to make room: a cgroup of the second
// version has processes or limited children, not both.
const serverCgroup = cgroupName + "server"

// rootCgroup holds the cgroups of sandboxes where the server's own cannot.
const rootCgroup = "langsandbox"

// cgroupHome chooses the cgroup to make those of sandboxes in: the own one, if
// its children can be limited. If not, because there are processes in it, this
// one leaves it, if it is alone there; or the sandboxes get a cgroup beside all
// others, if root may make one. Without limits the own one still does.
func cgroupHome(root, own string) string {
	own = strings.TrimSuffix(own, "/"+serverCgroup)
	wanted := offered(own)
	if enableAll(own, wanted) == nil || len(wanted) == 0 {
		return own
	}
	if makeRoom(own) == nil && enableAll(own, wanted) == nil {
		return own
	}
	beside := filepath.Join(root, rootCgroup)
	if os.Geteuid() == 0 && enableAll(root, wanted) == nil && makeCgroup(beside) == nil && enableAll(beside, wanted) == nil {
		return beside
	}
	return own
}

// offered lists the controllers that a cgroup could limit its children by.
func offered(dir string) []string {
	var list []string
	for _, controller := range controllers {
		if lists(filepath.Join(dir, "cgroup.controllers"), controller) {
			list = append(list, controller)
		}
	}
	return list
}

func enableAll(dir string, wanted []string) error {
	for _, controller := range wanted {
		if err := enable(dir, controller); err != nil {
			return err
		}
	}
	return nil
}

func makeCgroup(dir string) error {
	err := unix.Mkdir(dir, 0o755)
	if err == unix.EEXIST {
		return nil
	}
	return err
}

// makeRoom moves this process from a cgroup where it is alone to one below.
func makeRoom(own string) error {
	data, err := os.ReadFile(filepath.Join(own, procsFile))
	if err != nil {
		return err
	}
	if here := strings.Fields(string(data)); len(here) != 1 || here[0] != strconv.Itoa(os.Getpid()) {
		return fmt.Errorf("%s has processes of others", own)
	}
	below := filepath.Join(own, serverCgroup)
	if err := makeCgroup(below); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(below, procsFile), []byte("0"), 0)
}
