package sandboxserver

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"time"

	"go.etcd.io/bbolt"
	boltErrors "go.etcd.io/bbolt/errors"

	"github.com/langsandbox/sandbox-go/internal/runtime"
)

const (
	stateName    = "state.db"
	newStateName = stateName + ".new" // begins the names of those that are not whole
	stateVersion = 1
	// stateWait is for a server that was killed, and is not quite gone.
	stateWait = 2 * time.Second

	aboutBucket = "about"
	versionKey  = "version"
)

// Kinds of records, in the order in which they depend on each other.
const (
	kindVolume   = "volume"
	kindRegistry = "registry"
	kindSnapshot = "snapshot"
	kindTemplate = "template"
	kindPool     = "pool"
	kindSandbox  = "sandbox"
)

var recordKinds = []string{kindVolume, kindRegistry, kindSnapshot, kindTemplate, kindPool, kindSandbox}

// errDamaged reports a store that is not as it was written. Nobody repairs or
// removes it: that is for who has a copy.
var errDamaged = errors.New("is damaged: restore it from a copy, or move the data directory away to begin anew")

// stateFile is the database of a data directory: a record for each thing, in
// transactions that are on the disk as a whole or not at all. It is locked
// while it is open, and readable to its owner only.
type stateFile struct {
	name string
	db   *bbolt.DB
}

// change is a record to write; one without data is removed.
type change struct {
	kind, id string
	data     []byte
}

// openState opens the store of a data directory, or makes it in a new one.
func openState(dir string) (*stateFile, error) {
	f := &stateFile{name: filepath.Join(dir, stateName)}
	info, err := os.Stat(f.name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		err = makeState(dir, f.name)
	case err == nil && info.Size() == 0: // the database would begin anew
		err = fmt.Errorf("%s %w: it is empty", f.name, errDamaged)
	}
	if err != nil {
		return nil, err
	}
	if err := f.guard(f.open); err != nil {
		if f.db != nil {
			err = errors.Join(err, f.db.Close())
		}
		return nil, err
	}
	return f, nil
}

// makeState makes a store without records, which has its name when it is whole.
// Others may do the same at the same time: the first that gives its one the
// name wins.
func makeState(dir, name string) (err error) {
	if err := unusedDir(dir); err != nil {
		if _, made := os.Stat(name); made == nil {
			return nil // and used, by now
		}
		return err
	}
	file, err := os.CreateTemp(dir, newStateName+"*") // mode 0600
	if err != nil {
		return err
	}
	temp := file.Name()
	defer func() {
		if failed := os.Remove(temp); !errors.Is(failed, fs.ErrNotExist) {
			err = errors.Join(err, failed)
		}
	}()
	if err := file.Close(); err != nil {
		return err
	}
	db, err := bbolt.Open(temp, 0o600, &bbolt.Options{Timeout: stateWait})
	if err != nil {
		return err
	}
	if err := errors.Join(db.Update(begin), db.Close()); err != nil {
		return err
	}
	err = os.Link(temp, name)
	switch _, made := os.Stat(name); {
	case err == nil:
		return runtime.Sync(dir) // the name, too
	case made == nil:
		return nil
	}
	return os.Rename(temp, name) // the file system has no links
}

// unusedDir refuses a directory that has files and no store: they would count
// as leftovers.
func unusedDir(dir string) error {
	for _, name := range []string{"volumes", "snapshots", filepath.Join("runtime", "sandboxes")} {
		entries, err := os.ReadDir(filepath.Join(dir, name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if len(entries) > 0 {
			return fmt.Errorf("%s has files and no %s: restore that from a copy, or move the directory away to begin anew", filepath.Join(dir, name), stateName)
		}
	}
	return nil
}

func (f *stateFile) open() error {
	db, err := bbolt.Open(f.name, 0o600, &bbolt.Options{Timeout: stateWait, FreelistType: bbolt.FreelistMapType})
	switch {
	case errors.Is(err, boltErrors.ErrTimeout):
		return fmt.Errorf("%s is in use by another server", filepath.Dir(f.name))
	case err != nil && !asPathError(err):
		return fmt.Errorf("%s %w: %w", f.name, errDamaged, err)
	case err != nil:
		return err
	}
	f.db = db
	if err := os.Chmod(f.name, 0o600); err != nil {
		return err
	}
	if err := f.check(); err != nil {
		return err
	}
	return f.db.View(f.checkVersion)
}

func asPathError(err error) bool {
	_, ok := errors.AsType[*fs.PathError](err)
	return ok
}

// check looks for an end that is missing. What else the database offers to
// check itself ends the program when it finds something.
func (f *stateFile) check() error {
	return f.db.View(func(tx *bbolt.Tx) error {
		info, err := os.Stat(f.name)
		if err != nil {
			return err
		}
		if info.Size() < tx.Size() {
			return fmt.Errorf("%s %w: it has %d bytes of %d", f.name, errDamaged, info.Size(), tx.Size())
		}
		return nil
	})
}

func (f *stateFile) checkVersion(tx *bbolt.Tx) error {
	var version []byte
	if about := tx.Bucket([]byte(aboutBucket)); about != nil {
		version = about.Get([]byte(versionKey))
	}
	n, err := strconv.Atoi(string(version))
	switch {
	case err != nil || n < 1:
		return fmt.Errorf("%s %w: version %q", f.name, errDamaged, version)
	case n > stateVersion:
		return fmt.Errorf("%s was written by a newer program: it has version %d, this program knows %d", f.name, n, stateVersion)
	}
	return nil
}

// begin makes what a store has before its first record.
func begin(tx *bbolt.Tx) error {
	about, err := tx.CreateBucket([]byte(aboutBucket))
	if err != nil {
		return err
	}
	for _, kind := range recordKinds {
		if _, err := tx.CreateBucket([]byte(kind)); err != nil {
			return err
		}
		if err := about.Put([]byte(kind), []byte("0")); err != nil {
			return err
		}
	}
	return about.Put([]byte(versionKey), []byte(strconv.Itoa(stateVersion)))
}

// guard turns what a damaged file does to who reads it into an error. The
// store is mapped: a page that is not there is a fault.
func (f *stateFile) guard(read func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%s %w: %v", f.name, errDamaged, p)
		}
	}()
	return read()
}

// each visits the records of a kind, which are as many as were written.
func (f *stateFile) each(kind string, visit func(data []byte) error) error {
	return f.guard(func() error {
		return f.db.View(func(tx *bbolt.Tx) error {
			about, bucket := tx.Bucket([]byte(aboutBucket)), tx.Bucket([]byte(kind))
			if about == nil || bucket == nil {
				return fmt.Errorf("%s %w: there are no records of kind %s", f.name, errDamaged, kind)
			}
			n := 0
			if err := bucket.ForEach(func(id, sealed []byte) error {
				n++
				data, ok := unseal(sealed)
				if !ok {
					return fmt.Errorf("%s %w: %s %q", f.name, errDamaged, kind, id)
				}
				if err := visit(data); err != nil {
					return fmt.Errorf("%s: %s %q: %w", f.name, kind, id, err)
				}
				return nil
			}); err != nil {
				return err
			}
			if count := about.Get([]byte(kind)); string(count) != strconv.Itoa(n) {
				return fmt.Errorf("%s %w: %d records of kind %s, and not %q", f.name, errDamaged, n, kind, count)
			}
			return nil
		})
	})
}

// write makes changes, all or none, and returns when they are on the disk.
func (f *stateFile) write(changes ...change) error {
	return f.db.Update(func(tx *bbolt.Tx) error {
		about := tx.Bucket([]byte(aboutBucket))
		for _, c := range changes {
			more, err := c.write(tx.Bucket([]byte(c.kind)))
			if err != nil {
				return err
			}
			if more == 0 {
				continue
			}
			count, err := strconv.Atoi(string(about.Get([]byte(c.kind))))
			if err == nil {
				err = about.Put([]byte(c.kind), []byte(strconv.Itoa(count+more)))
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// write returns by how many the records are more.
func (c change) write(bucket *bbolt.Bucket) (more int, err error) {
	there := bucket.Get([]byte(c.id)) != nil
	switch {
	case c.data != nil && !there:
		more = 1
	case c.data == nil && there:
		more = -1
	}
	if c.data == nil {
		return more, bucket.Delete([]byte(c.id))
	}
	return more, bucket.Put([]byte(c.id), seal(c.data))
}

func (f *stateFile) close() error { return f.db.Close() }

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// seal puts a checksum before a record, which the database does not have.
func seal(data []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, crc32.Checksum(data, castagnoli)), data...)
}

func unseal(sealed []byte) ([]byte, bool) {
	const size = 4
	if len(sealed) < size {
		return nil, false
	}
	data := sealed[size:]
	return data, crc32.Checksum(data, castagnoli) == binary.BigEndian.Uint32(sealed)
}
