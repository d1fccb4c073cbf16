package main

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

// record is a command that this user left running in a sandbox: the API has no
// list of them. It holds no variables, whose values may be secret.
type record struct {
	Endpoint  string    `json:"endpoint"`
	Sandbox   string    `json:"sandbox"`
	SandboxID string    `json:"sandbox_id,omitempty"` // a name may be given again
	ID        string    `json:"id"`
	Command   []string  `json:"command"`
	StartedAt time.Time `json:"started_at"`
}

// line is the command line, for people: what a terminal would not show, or
// would act on, is not in it.
func (r *record) line() string {
	words := make([]string, len(r.Command))
	for i, word := range r.Command {
		if word == "" || strings.ContainsAny(word, " \t\n'\"") {
			word = "'" + word + "'"
		}
		words[i] = word
	}
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsPrint(r):
			return r
		case unicode.IsSpace(r):
			return ' '
		}
		return '?'
	}, strings.Join(words, " "))
}

// is whether the record is of a command of that sandbox, which may have no id.
func (r *record) is(of sandboxclient.Info) bool {
	return r.Sandbox == of.Name && (r.SandboxID == "" || of.ID == "" || r.SandboxID == of.ID)
}

// records is the directory that has a file for each record, which only its
// owner can read.
type records struct{ dir string }

const (
	maxRecord = 1 << 20              // of a file that is read
	outdated  = 30 * 24 * time.Hour  // when a record is of no use, whatever became of its command
	vanished  = detachedResultIsKept // when one is whose sandbox is not there
)

var errNoState = errors.New("there is no home directory to keep a record in: set HOME or XDG_STATE_HOME")

// records are those of this user.
func (a *app) records() (records, error) {
	dir, err := a.stateDir("commands")
	return records{dir}, err
}

// stateDir is where this program keeps something for this user.
func (a *app) stateDir(name string) (string, error) {
	state, home := a.getenv("XDG_STATE_HOME"), a.getenv("HOME")
	if runtime.GOOS == "windows" {
		state = cmp.Or(state, a.getenv("LOCALAPPDATA"))
	}
	switch {
	case filepath.IsAbs(state): // else it is to be ignored
	case filepath.IsAbs(home):
		state = filepath.Join(home, ".local", "state")
	default:
		return "", errNoState
	}
	return filepath.Join(state, "sandbox", name), nil
}

// file is the same for the same command.
func (s records) file(r *record) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %q", r.Endpoint, r.Sandbox, r.ID))
	return filepath.Join(s.dir, hex.EncodeToString(sum[:16])+".json")
}

// add writes a record, which is there whole or not at all.
func (s records) add(r *record) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("keep a record of command %s: %w", r.ID, err)
		}
	}()
	data, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(s.dir, ".new-") // is its owner's alone
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), s.file(r))
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// forget deletes a record, which may be gone.
func (s records) forget(r *record) { _ = os.Remove(s.file(r)) }

// of are the records of an endpoint, the oldest first. What is no record is
// left alone.
func (s records) of(endpoint string) ([]*record, error) {
	entries, err := os.ReadDir(s.dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("read the record of commands: %w", err)
	}
	var list []*record
	for _, e := range entries {
		r, err := readRecord(filepath.Join(s.dir, e.Name()))
		switch {
		case err != nil:
		case time.Since(r.StartedAt) > outdated:
			s.forget(r)
		case r.Endpoint == endpoint:
			list = append(list, r)
		}
	}
	slices.SortFunc(list, func(a, b *record) int {
		return cmp.Or(a.StartedAt.Compare(b.StartedAt), cmp.Compare(a.ID, b.ID))
	})
	return list, nil
}

var errNoRecord = errors.New("this is no record of a command")

func readRecord(name string) (*record, error) {
	if filepath.Ext(name) != ".json" {
		return nil, errNoRecord
	}
	f, err := os.Open(name) //nolint:gosec // in the user's own directory
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := readAtMost(f, maxRecord)
	if err != nil {
		return nil, err
	}
	return parseRecord(data)
}

func readAtMost(r io.Reader, most int64) ([]byte, error) { return io.ReadAll(io.LimitReader(r, most)) }

func parseRecord(data []byte) (*record, error) {
	var r record
	if err := json.Unmarshal(data, &r); err != nil {
		return nil, err
	}
	if r.Endpoint == "" || r.Sandbox == "" || r.ID == "" {
		return nil, errNoRecord
	}
	return &r, nil
}

// forgetSandbox deletes the records of a sandbox that is deleted.
func (a *app) forgetSandbox(endpoint, name string) { a.eachRecord(endpoint, name, records.forget) }

// renameSandbox keeps the records of a sandbox that has another name.
func (a *app) renameSandbox(endpoint, name, now string) {
	a.eachRecord(endpoint, name, func(s records, r *record) {
		renamed := *r
		renamed.Sandbox = now
		if s.add(&renamed) == nil {
			s.forget(r)
		}
	})
}

// eachRecord does something with the records of a sandbox, as far as there are
// any: what is to be done with the sandbox itself does not depend on them.
func (a *app) eachRecord(endpoint, name string, do func(records, *record)) {
	s, err := a.records()
	if err != nil {
		return
	}
	list, _ := s.of(endpoint)
	for _, r := range list {
		if r.Sandbox == name {
			do(s, r)
		}
	}
}
