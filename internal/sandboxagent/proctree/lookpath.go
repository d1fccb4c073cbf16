//go:build unix

// Package proctree starts and ends trees of processes: it finds programs the
// way execvp does, and kills a command with everything that came from it.
package proctree

import (
	"errors"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"
)

// LookPath finds a program. A name without a slash is searched in the PATH of
// env, relative entries and names start at dir. The error is the errno that
// execvp would have given.
func LookPath(name, dir string, env []string) (string, error) {
	if name == "" {
		return "", syscall.ENOENT
	}
	if strings.Contains(name, "/") {
		return name, executable(at(dir, name))
	}
	var denied error
	for entry := range strings.SplitSeq(Getenv(env, "PATH"), ":") {
		file := path.Join(at(dir, entry), name)
		err := executable(file)
		if err == nil {
			return file, nil
		}
		// A directory that may not be searched has nothing.
		if errors.Is(err, syscall.EACCES) && exists(file) {
			denied = err
		}
	}
	if denied != nil {
		return "", denied
	}
	return "", syscall.ENOENT
}

func at(dir, name string) string {
	if path.IsAbs(name) {
		return name
	}
	return path.Join(dir, name)
}

func executable(file string) error {
	var st syscall.Stat_t
	if err := syscall.Stat(file, &st); err != nil {
		return err
	}
	if st.Mode&syscall.S_IFMT != syscall.S_IFREG {
		return syscall.EACCES
	}
	const execute = 1
	return syscall.Access(file, execute)
}

func exists(file string) bool {
	var st syscall.Stat_t
	return syscall.Stat(file, &st) == nil
}

// CheckDir reports why dir cannot be a working directory.
func CheckDir(dir string) error {
	var st syscall.Stat_t
	err := syscall.Stat(dir, &st)
	if err == nil && st.Mode&syscall.S_IFMT != syscall.S_IFDIR {
		err = syscall.ENOTDIR
	}
	if err != nil {
		return &os.PathError{Op: "chdir", Path: dir, Err: err}
	}
	return nil
}

// Getenv returns the last value of a variable in env.
func Getenv(env []string, key string) string {
	for _, e := range slices.Backward(env) {
		if k, value, ok := strings.Cut(e, "="); ok && k == key {
			return value
		}
	}
	return ""
}
