//go:build !race

package sandboxclient_test

const (
	raceEnabled = false
	slower      = 1
)
