package runtime

// Host tells what a kernel has, which need not be allowed.
type Host struct {
	// Kernel is its release, or empty.
	Kernel string
	// Landlock is the version of the interface, or 0.
	Landlock int
	// Seccomp is true when system calls can be filtered.
	Seccomp bool
	// Cgroups is "v1", "v2", "hybrid" for both, or "none".
	Cgroups string
}
