//go:build unix && !linux

package runtime

import (
	"context"
	"os"
)

// removeForeign removes nothing: no sandbox has users of its own.
func removeForeign(_ context.Context, _ *os.File, _ string, reason error) error { return reason }
