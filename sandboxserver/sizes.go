package sandboxserver

import (
	"fmt"
)

// Sizes go together in the second generation of the API: 4 GiB of memory for
// each virtual CPU, half as much or half as much more at most.
const (
	memoryPerCPU = 4 * gibibyte
	maxMemory    = 64 * gibibyte
	// The files of sandboxes that are not persistent are where they run.
	transientDiskPerCPU = 16 * gibibyte
	maxTransientDisk    = 256 * gibibyte
)

// sizes are the integers of a request, kept to be returned.
type sizes struct {
	vcpus      int
	millicores int
	memory     int64
	disk       int64
}

// cpu is what the sizes say of CPU in thousandths of a core, 0 is nothing.
func (s sizes) cpu() int64 {
	if s.millicores > 0 {
		return int64(s.millicores)
	}
	return int64(s.vcpus) * 1000
}

// check refuses what is too large or does not go together. The ratio is only
// of sandboxes of the second generation.
func (s sizes) check(ratio, persistent bool) error {
	if s.memory > maxMemory {
		return invalid(fmt.Sprintf("mem_bytes must be at most %d", int64(maxMemory)), "mem_bytes")
	}
	if cpu := s.cpu(); ratio && cpu > 0 && s.memory > 0 {
		usual := times(cpu, memoryPerCPU) / 1000
		if s.memory < usual/2 || s.memory > usual/2*3 {
			return invalid(fmt.Sprintf("mem_bytes must be from %d to %d with this CPU: leave one of them out", usual/2, usual/2*3), "mem_bytes")
		}
	}
	if persistent {
		return nil
	}
	if s.disk > maxTransientDisk {
		return invalid(fmt.Sprintf("fs_capacity_bytes must be at most %d in a sandbox that is not persistent", int64(maxTransientDisk)), "fs_capacity_bytes")
	}
	if cpu := s.cpu(); cpu > 0 && s.disk > times(cpu, transientDiskPerCPU)/1000 {
		return invalid(fmt.Sprintf("fs_capacity_bytes must be at most %d with this CPU, in a sandbox that is not persistent",
			times(cpu, transientDiskPerCPU)/1000), "fs_capacity_bytes")
	}
	return nil
}

// counted is what a sandbox takes of the quotas where the sizes say so, and a
// where not. Memory alone stands for the CPU that goes with it, unless a
// template says how much.
func (s sizes) counted(a amounts, templated bool) amounts {
	if cpu := s.cpu(); cpu > 0 {
		a.cpu = cpu
	} else if s.memory > 0 && !templated {
		a.cpu = max((s.memory*1000+memoryPerCPU-1)/memoryPerCPU, 1)
	}
	if s.memory > 0 {
		a.memory = s.memory
	}
	return a
}
