//go:build unix && !linux

package runtime

// guard would kill what is left when the server is killed. That takes a host
// that tells the environments of processes.
type guard struct{}

func (*guard) start(string) error { return nil }
func (*guard) close()             {}
