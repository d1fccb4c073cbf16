package runtime

import (
	"errors"
	"os"
	"strings"
	"syscall"
)

// facts is what tells why the kernel refused something. Nothing is decided by
// it: that is up to trials.
type facts struct {
	read func(name string) string // contents without blanks around, or ""
}

func hostFacts() facts {
	return facts{read: func(name string) string {
		data, _ := os.ReadFile(name)
		return strings.TrimSpace(string(data))
	}}
}

// cause is a reason that the kernel has for an error, with what would help.
type cause struct {
	holds        func(error, facts) bool
	reason, help string
}

// hasValue holds when a file has a value.
func hasValue(name, value string) func(error, facts) bool {
	return func(_ error, f facts) bool { return f.read(name) == value }
}

func denied(err error, _ facts) bool {
	return errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EACCES)
}

// all holds when every condition does.
func all(conditions ...func(error, facts) bool) func(error, facts) bool {
	return func(err error, f facts) bool {
		for _, holds := range conditions {
			if !holds(err, f) {
				return false
			}
		}
		return true
	}
}

func is(target error) func(error, facts) bool {
	return func(err error, _ facts) bool { return errors.Is(err, target) }
}

// says holds for an error with a word in its text.
func says(word string) func(error, facts) bool {
	return func(err error, _ facts) bool { return strings.Contains(err.Error(), word) }
}

func filtered(_ error, f facts) bool {
	return strings.Contains(f.read("/proc/self/status"), "\nSeccomp:\t2")
}

// causes are looked through from the first one.
var causes = []cause{
	{
		is(errNotRoot), "the server is an ordinary user, who is root of its sandboxes",
		"run it as root, if nobody in a sandbox may be a user of the machine",
	},
	{
		is(errNoSubordinates), "the server is an ordinary user without others to give to sandboxes",
		"install newuidmap and newgidmap (package uidmap or shadow-utils), and usermod --add-subuids 100000-165535 --add-subgids 100000-165535 USER, with numbers that /etc/subuid does not have yet",
	},
	{
		is(errNoOCI), "a kernel of their own is for sandboxes that are containers of runsc (gVisor)",
		"install runsc, and name it with --oci-runtime",
	},
	{
		is(errNoContainer), "sandboxes are containers of crun or runc only where the server is told to use one", "",
	},
	{
		is(errSharedKernel), "only containers of runsc (gVisor) have a kernel of their own", "name runsc with --oci-runtime",
	},
	{
		is(errContainer), "the server is told to use crun or runc, and nothing stands in for it", "leave out --oci-runtime",
	},
	{
		is(errProcBound), "parts of /proc are covered, as in a container, and so the kernel refuses a new one",
		"start the container with --security-opt systempaths=unconfined, or run outside of one",
	},
	{
		all(says("landlock"), is(syscall.ENOSYS)), "the kernel has no Landlock: it is older than 5.13, built without it, or a filter of system calls hides it",
		"a newer kernel, or a container engine whose filter knows the landlock calls",
	},
	{
		all(says("landlock"), is(errDisabled)), "Landlock is built into the kernel and switched off",
		"add landlock to the list lsm= of the kernel's command line",
	},
	{says("needs Linux"), "only Linux has what it takes", "run the server in a Linux virtual machine"},
	{
		hasValue("/proc/sys/user/max_user_namespaces", "0"), "the sysctl user.max_user_namespaces is 0",
		"sysctl -w user.max_user_namespaces=10000",
	},
	{
		all(denied, hasValue("/proc/sys/kernel/unprivileged_userns_clone", "0")), "the sysctl kernel.unprivileged_userns_clone is 0",
		"sysctl -w kernel.unprivileged_userns_clone=1, or run the server as root",
	},
	{
		all(denied, hasValue("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1")),
		"AppArmor keeps programs without a profile from using user namespaces",
		"sysctl -w kernel.apparmor_restrict_unprivileged_userns=0, or a profile with userns for this program",
	},
	{
		all(denied, filtered), "a filter of system calls, as containers have, forbids namespaces or mounts",
		"start the container with --security-opt seccomp=unconfined, or run outside of one",
	},
	{is(syscall.ENOSPC), "there are as many user namespaces as the sysctl user.max_user_namespaces allows", "raise it"},
	{is(syscall.EUSERS), "user namespaces are nested too deep", "run the server further outside"},
	{is(syscall.ENOSYS), "the kernel is too old, or a filter of system calls hides what is needed", "Linux 5.12 or newer"},
	{all(says("new namespaces"), is(syscall.EINVAL)), "the kernel is built without user namespaces", "another kernel"},
	{says("no user ids"), "the server is root with no more ids to give away", "run it as an ordinary user, or in a user namespace with more ids"},
	{denied, "the kernel or a security module refuses it", "run the server as root, or outside of a container"},
}

// explain says in plain words why there is an error, and what would help.
func explain(err error, f facts) (reason, help string) {
	if err == nil {
		return "", ""
	}
	for _, c := range causes {
		if c.holds(err, f) {
			return c.reason + ": " + bare(err), c.help
		}
	}
	return bare(err), ""
}

// bare is the error without what everybody knows by now.
func bare(err error) string {
	text := strings.ReplaceAll(err.Error(), ErrUnsupported.Error()+": ", "")
	return strings.Join(strings.Fields(strings.ReplaceAll(text, "\n", "; ")), " ")
}
