package image

import (
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// xattrs lists the extended attributes of a file, but those that the system
// gives to every file.
func xattrs(t *testing.T, name string) string {
	t.Helper()
	buf := make([]byte, 4096)
	n, err := unix.Listxattr(name, buf)
	if err != nil {
		t.Fatal(err)
	}
	list := strings.Split(strings.TrimSuffix(string(buf[:n]), "\x00"), "\x00")
	list = slices.DeleteFunc(list, func(s string) bool { return s == "security.selinux" })
	return strings.Join(list, " ")
}
