package sandboxserver

import (
	"fmt"
	"io/fs"
	"syscall"
	"time"
)

// etag names the content of a file: which file it is, and what changes
// whenever it is written, also when its times are set back.
func etag(info fs.FileInfo) string {
	var inode uint64
	var changed time.Time
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		inode, changed = st.Ino, time.Unix(st.Ctim.Unix())
	}
	return fmt.Sprintf(`"%x-%x-%x-%x"`, inode, changed.UnixNano(), info.ModTime().UnixNano(), info.Size())
}
