//go:build !unix

package runtime

import "os"

// ReadDir reports that there are no sandboxes here to read from.
func ReadDir(*os.File, int) ([]Entry, error) { return nil, ErrUnsupported }
