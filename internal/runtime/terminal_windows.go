package runtime

import "os"

// Resize does nothing here: there are no terminals.
func Resize(*os.File, WindowSize) error { return ErrUnsupported }
