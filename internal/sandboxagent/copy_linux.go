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
// root, and none over the host's. Its one argument is a CopyTask. Standard
// input ends when nobody waits for the copy any more, standard output gets a
// CopyReport; the open directories follow.
const CopyMarker = "SANDBOX_COPY=1"

// CopyTask is what such a process is to do.
type CopyTask struct {
	// Copy says how the first directory is copied into the second.
	Copy treecopy.Options `json:"copy,omitzero"`
	// Measure is the number of directories whose size is wanted in place of a
	// copy, if they were one: see treecopy.Measure. The limit is that of Copy.
	Measure int `json:"measure,omitempty"`
}

// firstCopied is the descriptor of the first directory.
const firstCopied = 3

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
	var task CopyTask
	if err := json.Unmarshal([]byte(os.Args[1]), &task); err != nil {
		return fmt.Errorf("task: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		_, _ = os.Stdin.Read(make([]byte, 1))
		cancel()
	}()
	stats, err := task.do(ctx)
	report := CopyReport{Stats: stats}
	if err != nil {
		report.Text, report.TooLarge = err.Error(), errors.Is(err, treecopy.ErrTooLarge)
		if failed, ok := errors.AsType[*fs.PathError](err); ok {
			report.Errno, _ = failed.Err.(unix.Errno) //nolint:errorlint // as the kernel gave it, or none
		}
	}
	return json.NewEncoder(os.Stdout).Encode(report)
}

func (t CopyTask) do(ctx context.Context) (treecopy.Stats, error) {
	if t.Measure == 0 {
		src, dst := os.NewFile(firstCopied, "source"), os.NewFile(firstCopied+1, "target")
		return treecopy.Copy(ctx, dst, src, t.Copy)
	}
	var layers []*os.File
	for i := range t.Measure {
		layers = append(layers, os.NewFile(uintptr(firstCopied+i), "layer"))
	}
	return treecopy.Measure(ctx, layers, t.Copy.Limit)
}
