package sandboxagent

import (
	"testing"

	"golang.org/x/sys/unix"
)

func TestCheckSocket(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name                   string
		family, kind, protocol int
		want                   bool
	}{
		{"tcp", unix.AF_INET, unix.SOCK_STREAM, 0, true},
		{"of another family", unix.AF_INET6, unix.SOCK_STREAM, 0, false},
		{"udp", unix.AF_INET, unix.SOCK_DGRAM, 0, false},
		{"unix", unix.AF_UNIX, unix.SOCK_STREAM, 0, false},
	}
	for _, test := range tests {
		fd, err := unix.Socket(test.family, test.kind|unix.SOCK_CLOEXEC, test.protocol)
		if err != nil {
			t.Fatal(err)
		}
		if err := CheckSocket(fd, unix.AF_INET); (err == nil) != test.want {
			t.Errorf("%s: %v", test.name, err)
		}
		unix.Close(fd)
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.Listen(fd, 1); err != nil {
		t.Fatal(err)
	}
	if CheckSocket(fd, unix.AF_INET) == nil {
		t.Error("took a listener")
	}
}
