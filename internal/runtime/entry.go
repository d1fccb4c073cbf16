package runtime

import (
	"io/fs"
	"time"
)

// Entry is a member of a directory. Of a symbolic link it is the link.
type Entry struct {
	Name     string
	Type     fs.FileMode // type bits only; fs.ModeIrregular if it cannot be known
	Size     int64
	Modified time.Time
}
