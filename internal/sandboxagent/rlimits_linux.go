package sandboxagent

import (
	"os"
	"runtime"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
)

// Rlimits are the limits of processes that hold without cgroups. All of a
// sandbox inherit them from the agent, and none can raise them.
type Rlimits struct {
	// FileBytes bounds the size of a file that is written; 0 does not.
	FileBytes int64 `json:"fileBytes,omitempty"`
	// Processes bounds the processes and threads of each user of the sandbox,
	// and of all together where the kernel counts them; 0 does not. The server
	// leaves it out where users are counted across sandboxes.
	Processes int64 `json:"processes,omitempty"`
}

// Bounds of open files, as systemd has them: programs that use select break
// with more than the first, and those that want more ask for it themselves.
const (
	openFiles    = 1024
	maxOpenFiles = 512 << 10
)

// reservedPIDs are numbers that the kernel does not give out a second time.
const reservedPIDs = 300

const pidMaxFile = "/proc/sys/kernel/pid_max"

// set puts the limits in force for this process and all that come from it.
func (l Rlimits) set(ready *Ready) error {
	var files unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err != nil {
		return fail("getrlimit", "nofile", err)
	}
	files.Max = min(files.Max, maxOpenFiles)
	files.Cur = min(files.Max, openFiles)
	limits := map[int]unix.Rlimit{unix.RLIMIT_CORE: {}, unix.RLIMIT_NOFILE: files}
	if most := uint64(l.FileBytes); most > 0 {
		limits[unix.RLIMIT_FSIZE] = unix.Rlimit{Cur: most, Max: most}
	}
	if most := uint64(l.Processes); most > 0 {
		ready.PIDMax = limitPIDs(l.Processes) == nil
		startThreads()
		limits[unix.RLIMIT_NPROC] = unix.Rlimit{Cur: most, Max: most}
	}
	for resource, limit := range limits {
		if err := unix.Setrlimit(resource, &limit); err != nil {
			return fail("setrlimit", strconv.Itoa(resource), err)
		}
	}
	return nil
}

// limitPIDs bounds the numbers of processes in this pid namespace, and keeps
// commands from changing that. Before Linux 6.14 there is one bound for the
// whole machine, which is none of a sandbox's business.
func limitPIDs(processes int64) error {
	if !KernelAtLeast(6, 14) {
		return unix.ENOSYS
	}
	if err := checkPlace(); err != nil {
		return err
	}
	most := strconv.FormatInt(processes+reservedPIDs+1, 10)
	if err := os.WriteFile(pidMaxFile, []byte(most), 0); err != nil {
		return err
	}
	fd, err := CloneTree(pidMaxFile)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := restrict(fd, unix.MOUNT_ATTR_RDONLY|unix.MOUNT_ATTR_NODEV|unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NOEXEC); err != nil {
		return err
	}
	return attach(fd, pidMaxFile)
}

// agentThreads is how many threads an agent needs at most: of Go's own one for
// each processor it uses and a few more, and those that wait in the kernel.
const agentThreads = 10

// startThreads makes threads that Go keeps: it ends a process that cannot have
// one more, as it could not once commands have all that are allowed.
func startThreads() {
	var all, ready sync.WaitGroup
	begin := make(chan struct{})
	for range agentThreads {
		ready.Add(1)
		all.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			ready.Done()
			<-begin
		})
	}
	ready.Wait()
	close(begin)
	all.Wait()
}
