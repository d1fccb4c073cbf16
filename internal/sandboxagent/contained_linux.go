package sandboxagent

import (
	"encoding/json"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// ContainedMarker takes the place of Marker for an agent that is the first
// process of a container, whose namespaces a launcher had made. Once it has the
// host's root it does what any agent does.
const ContainedMarker = "SANDBOX_AGENT=contained"

// runContained is run for an agent in a container. Its first message, which
// answers nothing, has a descriptor of the process: the server did not start it.
func runContained() error {
	if err := checkPlace(); err != nil {
		return err
	}
	if err := unix.CloseRange(ControlFD, ^uint(0)>>1, unix.CLOSE_RANGE_CLOEXEC); err != nil {
		return fail("close_range", "", err)
	}
	unix.Close(AgentFD)
	if err := closeDirectories(); err != nil {
		return err
	}
	if err := pivot(hostInside); err != nil {
		return err
	}
	self, err := unix.PidfdOpen(os.Getpid(), 0)
	if err != nil {
		return fail("pidfd_open", "", err)
	}
	defer unix.Close(self)
	hello, err := json.Marshal(new(Reply))
	if err != nil {
		return err
	}
	if err := unix.Sendmsg(ControlFD, hello, unix.UnixRights(self), nil, unix.MSG_NOSIGNAL); err != nil {
		return fail("send", "", err)
	}
	return serve(new(agent))
}

// closeDirectories closes directories that were left open for this process, as
// runc did before 1.1.12: a command that was to begin in one, which has a name
// in /proc/self/fd until the command is executed, would begin on the host.
func closeDirectories() error {
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return err
	}
	for _, entry := range fds {
		fd, err := strconv.Atoi(entry.Name())
		if err != nil {
			return err
		}
		var st unix.Stat_t
		if fd > ControlFD && unix.Fstat(fd, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR {
			unix.Close(fd)
		}
	}
	return nil
}
