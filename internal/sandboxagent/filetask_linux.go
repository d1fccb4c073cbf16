package sandboxagent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/langsandbox/sandbox-go/internal/sandboxagent/treecopy"
	"github.com/langsandbox/sandbox-go/internal/sandboxagent/treeremove"
)

// FileTaskMarker is the environment entry that makes a process with Name do
// something with files and exit: with the ids and the rights over files of a
// sandbox's root, and none over the host's. Its one argument is a FileTask.
// Standard input ends when nobody waits for it any more, standard output gets a
// FileReport; the open files follow.
const FileTaskMarker = "SANDBOX_FILES=1"

// What such a process can do.
const (
	// DoNothing is for trials.
	DoNothing = ""
	// DoCopy copies the first directory into the second.
	DoCopy = "copy"
	// DoMeasure finds the size of directories, if they were one: see
	// treecopy.Measure.
	DoMeasure = "measure"
	// DoRemove removes a name in the first directory, with all that is below.
	DoRemove = "remove"
	// DoOwn gives the files below the first directory the owners in the list
	// that is the second file.
	DoOwn = "own"
)

// FileTask is what such a process is to do.
type FileTask struct {
	Do string `json:"do"`
	// Copy says how to copy. Its limit is that of DoMeasure, too.
	Copy treecopy.Options `json:"copy,omitzero"`
	// Layers is the number of directories to measure.
	Layers int `json:"layers,omitempty"`
	// Name is what to remove.
	Name string `json:"name,omitempty"`
}

// firstFile is the descriptor of the first of the open files.
const firstFile = 3

// FileReport is what became of a task.
type FileReport struct {
	Stats treecopy.Stats `json:"stats"`
	// Text is empty when all went well; Errno and TooLarge say more.
	Text     string     `json:"text,omitempty"`
	Errno    unix.Errno `json:"errno,omitempty"`
	TooLarge bool       `json:"too_large,omitempty"`
}

// fileError is the failure of a task in another process.
type fileError struct {
	text  string
	cause error
}

func (e *fileError) Error() string { return e.text }

func (e *fileError) Unwrap() error { return e.cause }

// Err returns the failure, if there was one. It matches treecopy.ErrTooLarge
// or the error number that was the reason.
func (r FileReport) Err() error {
	switch {
	case r.Text == "":
		return nil
	case r.TooLarge:
		return &fileError{r.Text, treecopy.ErrTooLarge}
	case r.Errno != 0:
		return &fileError{r.Text, r.Errno}
	}
	return &fileError{r.Text, nil}
}

// doFileTask is the whole life of a process with a task.
func doFileTask() error {
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
	var task FileTask
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
	report := FileReport{Stats: stats}
	if err != nil {
		report.Text, report.TooLarge = err.Error(), errors.Is(err, treecopy.ErrTooLarge)
		report.Errno, _ = errors.AsType[unix.Errno](err)
	}
	return json.NewEncoder(os.Stdout).Encode(report)
}

func (t FileTask) do(ctx context.Context) (treecopy.Stats, error) {
	file := func(i int) *os.File { return os.NewFile(uintptr(firstFile+i), "file") }
	switch t.Do {
	case DoCopy:
		return treecopy.Copy(ctx, file(1), file(0), t.Copy)
	case DoMeasure:
		var layers []*os.File
		for i := range t.Layers {
			layers = append(layers, file(i))
		}
		return treecopy.Measure(ctx, layers, t.Copy.Limit)
	case DoRemove:
		return treecopy.Stats{}, treeremove.Remove(ctx, firstFile, t.Name)
	case DoOwn:
		return treecopy.Stats{}, ownFiles(ctx, firstFile, file(1))
	}
	return treecopy.Stats{}, nil
}
