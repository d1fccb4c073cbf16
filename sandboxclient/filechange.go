package sandboxclient

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"unicode/utf8"
)

// The API has routes to read, write, describe and find files. What it has no
// route for is done by a command, once each, with the tools that every POSIX
// system has: these methods are such commands.

// MkdirAll makes a directory and those above it that are missing, by a command
// (mkdir -p); one that exists is left as it is. It has the permissions that the
// sandbox gives new directories. A relative path starts where commands do.
// Errors are *fs.PathError that match fs.ErrExist and the like.
func (s *Sandbox) MkdirAll(ctx context.Context, path string) error {
	return s.changeFiles(ctx, "mkdir", path, "mkdir -p -- \"$a\"")
}

// Remove removes a file, a symbolic link or an empty directory, by a command
// (rm, rmdir). A relative path starts where commands do. Errors are
// *fs.PathError.
func (s *Sandbox) Remove(ctx context.Context, path string) error {
	return s.changeFiles(ctx, "remove", path, `if [ -d "$a" ] && ! [ -L "$a" ]; then rmdir -- "$a"; else rm -- "$a"; fi`)
}

// RemoveAll removes a path and all below it, by a command (rm -rf); one that
// does not exist is no error. A relative path starts where commands do. Errors
// are *fs.PathError.
func (s *Sandbox) RemoveAll(ctx context.Context, path string) error {
	return s.changeFiles(ctx, "remove", path, `rm -rf -- "$a"`)
}

// Rename moves a file or directory, in place of a file or an empty directory
// that may be there, by a command (mv -T). Across file systems it copies.
// Relative paths start where commands do. Errors are *fs.PathError with the old
// path.
func (s *Sandbox) Rename(ctx context.Context, oldPath, newPath string) error {
	return s.changeFiles(ctx, "rename", oldPath, `[ "$a" = "$b" ] && { [ -e "$a" ] || [ -L "$a" ]; } && exit
if [ -d "$b" ] && ! [ -L "$b" ] && [ -e "$a" ]; then
	if [ -d "$a" ] && ! [ -L "$a" ]; then rmdir -- "$b" || exit; else echo ": Is a directory" >&2; exit 1; fi
fi
mv -fT -- "$a" "$b"`, newPath)
}

// changeFiles runs a script with the paths as $a and $b.
func (s *Sandbox) changeFiles(ctx context.Context, verb, path, script string, more ...string) error {
	if err := s.runChange(ctx, verb, script, append([]string{path}, more...)); err != nil {
		return &fs.PathError{Op: verb, Path: path, Err: err}
	}
	return nil
}

func (s *Sandbox) runChange(ctx context.Context, verb, script string, paths []string) error {
	var b strings.Builder
	for i, path := range paths {
		if err := checkPath(verb, path); err != nil {
			return err
		}
		assignBytes(&b, string(rune('a'+i)), trimSlashes(path))
	}
	b.WriteString(script)
	result, err := s.Run(ctx, b.String(), &RunOptions{ShellPath: "/bin/sh", Env: map[string]string{"LC_ALL": "C"}, MaxOutput: 1 << 20})
	if err != nil {
		return err
	}
	return changeError(verb, result)
}

// trimSlashes leaves off the slashes behind a path, which would have a link
// followed.
func trimSlashes(path string) string {
	if trimmed := strings.TrimRight(path, "/"); trimmed != "" {
		return trimmed
	}
	return "/"
}

// assignBytes writes a command that sets a variable to exactly these bytes.
// Commands travel as text, so that what is none is spelt out; the dot keeps the
// shell from dropping newlines at the end.
func assignBytes(b *strings.Builder, name, value string) {
	b.WriteString(name + "=")
	if utf8.ValidString(value) {
		writeQuoted(b, value)
		b.WriteByte('\n')
		return
	}
	b.WriteString("$(printf '")
	for i := range len(value) {
		fmt.Fprintf(b, `\%03o`, value[i])
	}
	b.WriteString(".')\n" + name + "=${" + name + "%.}\n")
}

// changeError makes an error of how a tool ended. Tools end their complaints with
// the system's text for the reason.
func changeError(verb string, result *Result) error {
	if result.ExitCode == 0 {
		return nil
	}
	text := strings.TrimRight(result.Stderr, "\n")
	err := &toolError{verb: verb, code: result.ExitCode, text: text}
	lines := strings.Split(text, "\n")
	for _, line := range slices.Backward(lines) { // tar adds that it failed
		for errno, complaint := range complaints {
			if err.errno == 0 && strings.HasSuffix(line, ": "+complaint) {
				err.errno = errno
			}
		}
	}
	return err
}

// complaints are the texts of errors in the C locale.
var complaints = map[syscall.Errno]string{
	syscall.ENOENT: "No such file or directory", syscall.EEXIST: "File exists", syscall.EACCES: "Permission denied",
	syscall.EPERM: "Operation not permitted", syscall.ENOTDIR: "Not a directory", syscall.EISDIR: "Is a directory",
	syscall.ENOTEMPTY: "Directory not empty", syscall.EROFS: "Read-only file system", syscall.ENOSPC: "No space left on device",
	syscall.EBUSY: "Device or resource busy", syscall.ELOOP: "Too many levels of symbolic links",
	syscall.ENAMETOOLONG: "File name too long", syscall.EINVAL: "Invalid argument",
}

// toolError is a tool in the sandbox that failed. It matches [ErrOperation],
// the file error that corresponds, and [ExitError].
type toolError struct {
	verb, text string
	code       int
	errno      syscall.Errno
}

func (e *toolError) Error() string {
	if e.errno != 0 {
		return strings.ToLower(complaints[e.errno])
	}
	if e.text == "" {
		return e.verb + ": exit status " + strconv.Itoa(e.code)
	}
	return e.text
}

func (e *toolError) Is(target error) bool {
	return target == ErrOperation || e.errno != 0 && (target == e.errno || errors.Is(e.errno, target)) ||
		target == ErrNotFound && e.errno == syscall.ENOENT || target == ErrForbidden && errors.Is(e.errno, fs.ErrPermission)
}

func (e *toolError) Unwrap() error { return &ExitError{Code: e.code, Stderr: e.text} }
