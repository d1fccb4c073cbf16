package sandboxagent

import (
	"encoding/json"
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestEncode(t *testing.T) {
	for _, size := range []int{0, MaxMessage / 2, MaxMessage, 1 << 20} {
		want := &Request{ID: 7, Exec: &Exec{Args: []string{"x", strings.Repeat("y", size)}, Env: []string{"A=1"}, FDs: HasStdin}}
		data, fds, release, err := Encode(want, []int{-5})
		if err != nil {
			t.Fatal(err)
		}
		if len(data) > MaxMessage || fds[len(fds)-1] != -5 {
			t.Errorf("%d: message of %d bytes, descriptors %v", size, len(data), fds)
		}
		if len(fds) == 2 {
			// What the kernel does on the way.
			if fds[0], err = unix.Dup(fds[0]); err != nil {
				t.Fatal(err)
			}
		}
		release()
		got, rest, err := decode(data, fds)
		if err != nil || !reflect.DeepEqual(got, want) || len(rest) != 1 || rest[0] != -5 {
			t.Errorf("%d: %v, descriptors %v", size, err, rest)
		}
	}
	if _, _, _, err := Encode(&Request{Exec: &Exec{Args: []string{strings.Repeat("x", maxSpilled)}}}, nil); !errors.Is(err, unix.E2BIG) {
		t.Errorf("too large: %v", err)
	}
}

func TestErrorText(t *testing.T) {
	for _, test := range []struct {
		err  *Error
		want string
	}{
		{fail("mount", "overlay", unix.EPERM), "mount overlay: operation not permitted"},
		{fail("exec", "", os.ErrInvalid), "exec: invalid argument"},
		{asError("setup", &os.PathError{Op: "mkdir", Path: "/x", Err: unix.EROFS}), "mkdir /x: read-only file system"},
		{asError("setup", unix.EACCES), "setup: permission denied"},
	} {
		if got := test.err.Error(); got != test.want {
			t.Errorf("got %q, want %q", got, test.want)
		}
	}
}

func FuzzRequest(f *testing.F) {
	f.Add([]byte(`{"id":1,"exec":{"args":["x"],"env":null,"dir":"/"}}`))
	f.Add([]byte(`{"id":1,"spilled":true}`))
	f.Add([]byte(`{`))
	f.Fuzz(func(t *testing.T, data []byte) {
		req, _, err := decode(data, nil)
		if err != nil {
			return
		}
		if _, err := json.Marshal(req); err != nil {
			t.Error(err)
		}
	})
}
