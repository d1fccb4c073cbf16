package sandboxagent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"github.com/langsandbox/sandbox-go/internal/sandboxagent/treecopy"
)

// CopyMarker is the environment entry that makes a process with Name copy a
// file tree and exit: with the ids and the rights over files of a sandbox's
// root, and none over the host's. Its one argument are the options. Standard
// input ends when nobody waits for the copy any more, standard output gets a
// CopyReport; the open directories follow.
const CopyMarker = "SANDBOX_COPY=1"

const (
	copySource = 3
	copyTarget = 4
)

// CopyReport is what became of a copy.
type CopyReport struct {
	Stats treecopy.Stats `json:"stats"`
	// Text is empty when all went well; Errno and TooLarge say more.
	Text     string     `json:"text,omitempty"`
	Errno    unix.Errno `json:"errno,omitempty"`
	TooLarge bool       `json:"too_large,omitempty"`
}

// copyError is the failure of a copy in another process.
type copyError struct {
	text  string
	cause error
}

func (e *copyError) Error() string { return e.text }

func (e *copyError) Unwrap() error { return e.cause }

// Err returns the failure, if there was one. It matches treecopy.ErrTooLarge
// or the error number that was the reason.
func (r CopyReport) Err() error {
	switch {
	case r.Text == "":
		return nil
	case r.TooLarge:
		return &copyError{r.Text, treecopy.ErrTooLarge}
	case r.Errno != 0:
		return &copyError{r.Text, r.Errno}
	}
	return &copyError{r.Text, nil}
}

// copyFiles is the whole life of a process that copies.
func copyFiles() error {
	if len(os.Args) != 2 {
		return errors.New("not started by a sandbox server")
	}
	inode, err := Namespace("user")
	if err != nil {
		return err
	}
	if inode == initialUserNS {
		return errors.New("in the machine's own user namespace")
	}
	var options treecopy.Options
	if err := json.Unmarshal([]byte(os.Args[1]), &options); err != nil {
		return fmt.Errorf("options: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		_, _ = os.Stdin.Read(make([]byte, 1))
		cancel()
	}()
	src, dst := os.NewFile(copySource, "source"), os.NewFile(copyTarget, "target")
	stats, err := treecopy.Copy(ctx, dst, src, options)
	report := CopyReport{Stats: stats}
	if err != nil {
		report.Text, report.TooLarge = err.Error(), errors.Is(err, treecopy.ErrTooLarge)
		if failed, ok := errors.AsType[*fs.PathError](err); ok {
			report.Errno, _ = failed.Err.(unix.Errno) //nolint:errorlint // as the kernel gave it, or none
		}
	}
	return json.NewEncoder(os.Stdout).Encode(report)
}
