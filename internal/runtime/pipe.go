package runtime

import "os"

// InputPipe returns a pipe for Command.Stdin: the caller writes to ours and
// closes theirs once the command has started.
func InputPipe() (ours, theirs *os.File, err error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	block(r)
	return w, r, nil
}

// OutputPipe returns a pipe for Command.Stdout or Command.Stderr: the caller
// reads from ours and closes theirs once the command has started. The two
// streams may share one pipe.
func OutputPipe() (ours, theirs *os.File, err error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	block(w)
	return r, w, nil
}

// block puts the end that a command gets in blocking mode: the mode travels
// with the end, and programs do not expect EAGAIN. Each end has its own mode,
// so that ours stays one that deadlines and Close interrupt.
func block(theirs *os.File) {
	theirs.Fd() // documented to do so
}
