package runtime

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/langsandbox/sandbox-go/internal/sandboxagent"
)

const (
	subUIDFile, subGIDFile = "/etc/subuid", "/etc/subgid"

	// mapTimeout bounds the programs that give ids to a process.
	mapTimeout = 10 * time.Second
)

// subordinateIDs are the ids that an ordinary user may give to sandboxes, and
// that a process was given in a trial.
var subordinateIDs = sync.OnceValues(func() (idMap, error) {
	ids, err := readSubordinates()
	if err == nil {
		ctx, cancel := context.WithTimeout(context.Background(), mapTimeout)
		defer cancel()
		_, err = ids.do(ctx, &program{path: selfExe}, sandboxagent.FileTask{Do: sandboxagent.DoNothing})
	}
	if err != nil {
		return idMap{}, fmt.Errorf("%w: %w", errNoSubordinates, err)
	}
	return ids, nil
})

// whyNoSubordinates is why a sandbox has the server's user only.
func whyNoSubordinates() error {
	if _, err := subordinateIDs(); err != nil {
		return err
	}
	return errNoSubordinates
}

// readSubordinates finds what is written of this process's user.
func readSubordinates() (idMap, error) {
	for _, name := range []string{"newuidmap", "newgidmap"} {
		if _, err := exec.LookPath(name); err != nil {
			return idMap{}, err
		}
	}
	names := []string{strconv.Itoa(os.Geteuid())}
	if u, err := user.LookupId(names[0]); err == nil {
		names = append(names, u.Username)
	}
	uid, uids, err := readSubordinateRange(subUIDFile, names)
	if err != nil {
		return idMap{}, err
	}
	gid, gids, err := readSubordinateRange(subGIDFile, names)
	if err != nil {
		return idMap{}, err
	}
	ids := oneID()
	ids.subUID, ids.subGID, ids.size = uid, gid, min(1+min(uids, gids), rangeSize)
	return ids, nil
}

func readSubordinateRange(file string, names []string) (start, size int, err error) {
	in, err := os.Open(file)
	if err != nil {
		return 0, 0, err
	}
	defer in.Close()
	if start, size = subordinateRange(in, names); size == 0 {
		return 0, 0, fmt.Errorf("%s has no line for %s", file, names[len(names)-1])
	}
	return start, size, nil
}

// subordinateRange is the largest range in the lines of a user, who may be
// named in several ways. What is no such line is passed over, as by the
// programs that the file is for.
func subordinateRange(file io.Reader, names []string) (start, size int) {
	for lines := bufio.NewScanner(file); lines.Scan(); {
		fields := strings.Split(strings.TrimSpace(lines.Text()), ":")
		if len(fields) != 3 {
			continue
		}
		first, err1 := strconv.ParseUint(fields[1], 10, 32)
		count, err2 := strconv.ParseUint(fields[2], 10, 32)
		const last = 1<<32 - 2 // the one above means nobody
		fits := err1 == nil && err2 == nil && first > 0 && first+count-1 <= last
		if fits && slices.Contains(names, fields[0]) && int(count) > size {
			start, size = int(first), int(count)
		}
	}
	return start, size
}

// startUnmapped starts a process that waits for its ids, has two programs of
// the system, which may do that, give them to it, and lets it go on.
func (m idMap) startUnmapped(p *program, args []string, attr *os.ProcAttr) (*os.Process, error) {
	gate, open, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer gate.Close()
	defer open.Close()
	attr.Sys.Cloneflags |= syscall.CLONE_NEWUSER
	attr.Sys.AmbientCaps = []uintptr{unix.CAP_SETUID, unix.CAP_SETGID}
	attr.Env = append(attr.Env, sandboxagent.GateKey+strconv.Itoa(len(attr.Files)))
	attr.Files = append(attr.Files, gate)
	process, err := os.StartProcess(p.path, args, attr)
	if err != nil {
		return nil, err
	}
	err = m.give(process.Pid)
	if err == nil {
		_, err = open.Write([]byte{1})
	}
	if err != nil {
		_ = process.Kill()
		_, _ = process.Wait()
		return nil, err
	}
	return process, nil
}

// give gives the ids to a process, which takes no longer than mapTimeout.
//
//nolint:contextcheck,nolintlint // like a fork, it is not broken off
func (m idMap) give(pid int) error {
	ctx, cancel := context.WithTimeout(context.Background(), mapTimeout)
	defer cancel()
	var groups error
	var both sync.WaitGroup
	both.Go(func() { groups = runMapper(ctx, "newgidmap", pid, m.gid, m.subGID, m.size) })
	users := runMapper(ctx, "newuidmap", pid, m.uid, m.subUID, m.size)
	both.Wait()
	return errors.Join(users, groups)
}

func runMapper(ctx context.Context, name string, pid, first, rest, size int) error {
	var args []string
	for _, n := range []int{pid, 0, first, 1, 1, rest, size - 1} {
		args = append(args, strconv.Itoa(n))
	}
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = []string{"LC_ALL=C"} // and nothing of the server's
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, strings.TrimSpace(string(out)))
	}
	return nil
}

// removeForeign removes what this process may not, since it belongs to users
// of sandboxes.
func removeForeign(ctx context.Context, parent *os.File, name string, reason error) error {
	if os.Geteuid() == 0 {
		return reason
	}
	ids, err := subordinateIDs()
	if err != nil {
		return reason
	}
	_, err = ids.do(ctx, &program{path: selfExe}, sandboxagent.FileTask{Do: sandboxagent.DoRemove, Name: name}, parent)
	return err
}

// OwnFiles gives files of an image to users of sandboxes, in a server that is
// an ordinary user. The list has a sandboxagent.Owned for each as JSON, and is
// read from its beginning.
func OwnFiles(ctx context.Context, dir string, list *os.File) error {
	ids, err := subordinateIDs()
	if err != nil {
		return err
	}
	root, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	if _, err := list.Seek(0, io.SeekStart); err != nil {
		return err
	}
	_, err = ids.do(ctx, &program{path: selfExe}, sandboxagent.FileTask{Do: sandboxagent.DoOwn}, root, list)
	return err
}
