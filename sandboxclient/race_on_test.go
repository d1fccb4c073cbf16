//go:build race

package sandboxclient_test

// raceEnabled: with the race detector on, pools forget at random and counts of
// allocations mean little.
const raceEnabled = true

// slower is about what the race detector costs.
const slower = 8
