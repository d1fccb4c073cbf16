package image

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"hash/maphash"
	"os"
)

// Owned is a file of a layer that belongs to another than root, in ids of the
// image.
type Owned struct {
	Name string `json:"name"` // below the layer's root
	UID  int    `json:"uid"`
	GID  int    `json:"gid"`
	// Mode is as chmod takes it, if it has bits that a change of the owner
	// takes away.
	Mode uint32 `json:"mode,omitempty"`
}

// ownedList collects files that are given away when a layer is whole. It keeps
// them on the disk: there may be many.
type ownedList struct {
	file  *os.File
	out   *bufio.Writer
	seed  maphash.Seed
	names map[uint64]struct{}
}

func newOwnedList(name string) (*ownedList, error) {
	file, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	return &ownedList{file: file, out: bufio.NewWriter(file), seed: maphash.MakeSeed(), names: make(map[uint64]struct{})}, nil
}

// list notes the owner of a file. Root's are not worth it, but where another
// file had the name before.
func (u *unpacker) list(o Owned) error {
	key := maphash.String(u.owned.seed, o.Name)
	if _, known := u.owned.names[key]; !known && o.UID == 0 && o.GID == 0 {
		return nil
	}
	u.owned.names[key] = struct{}{}
	line, err := json.Marshal(o)
	if err != nil {
		return err
	}
	if err := u.charge(int64(len(line))); err != nil {
		return err
	}
	_, err = u.owned.out.Write(line)
	return err
}

// give gives the files away.
func (l *ownedList) give(ctx context.Context, dir string, own func(context.Context, string, *os.File) error) error {
	if err := l.out.Flush(); err != nil || len(l.names) == 0 {
		return err
	}
	return own(ctx, dir, l.file)
}

// close removes the list.
func (l *ownedList) close() error { return errors.Join(l.file.Close(), os.Remove(l.file.Name())) }
