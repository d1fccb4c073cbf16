//go:build !amd64

package runtime

import "errors"

func foreignCall(hostTargets) error { return errors.New("not of this machine") }
