package sandboxserver

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// TestFirstOpens: of those that find a new directory at once, one has it. The
// others are told, and what the one writes is what is read later.
func TestFirstOpens(t *testing.T) {
	t.Parallel()
	var rounds sync.WaitGroup
	for range 20 {
		dir := t.TempDir()
		rounds.Go(func() {
			if err := openAtOnce(dir); err != nil {
				t.Error(err)
			}
		})
	}
	rounds.Wait()
}

func openAtOnce(dir string) error {
	const servers = 4
	files, failures := make([]*stateFile, servers), make([]error, servers)
	var opening sync.WaitGroup
	for i := range servers {
		opening.Go(func() { files[i], failures[i] = openState(dir) })
	}
	opening.Wait()
	opened := 0
	var errs []error
	for i, f := range files {
		if f == nil {
			if !strings.Contains(failures[i].Error(), "in use by another server") {
				errs = append(errs, failures[i])
			}
			continue
		}
		opened++
		errs = append(errs, f.write(change{kindVolume, strconv.Itoa(i), []byte("{}")}), f.close())
	}
	if opened != 1 {
		errs = append(errs, fmt.Errorf("%d servers have the directory", opened))
	}
	f, err := openState(dir)
	if err != nil {
		return errors.Join(append(errs, err)...)
	}
	found := 0
	errs = append(errs, f.each(kindVolume, func([]byte) error { found++; return nil }), f.close())
	if found != opened {
		errs = append(errs, fmt.Errorf("%d records of %d", found, opened))
	}
	names, err := filepath.Glob(filepath.Join(dir, "*"))
	if len(names) != 1 {
		errs = append(errs, fmt.Errorf("%q: %w", names, errors.Join(err, fs.ErrExist)))
	}
	return errors.Join(errs...)
}
