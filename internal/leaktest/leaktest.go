// Package leaktest fails the tests of a package that leave a goroutine.
package leaktest

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// patience is how long goroutines may take to end after the last test.
const patience = 5 * time.Second

// Run is m.Run for TestMain: its exit code is not 0 either when a goroutine is
// left. Fuzzing leaves some of its own.
func Run(m *testing.M) int {
	code := m.Run()
	if code != 0 || flag.Lookup("test.fuzz").Value.String() != "" {
		return code
	}
	if left := leftover(); left != "" {
		fmt.Fprintln(os.Stderr, "goroutines are left:\n"+left)
		return 1
	}
	return 0
}

// leftover waits for goroutines to end and returns the stacks of all if some do
// not.
func leftover() string {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); ; <-tick.C {
		buf := make([]byte, 1<<20)
		stacks := string(buf[:runtime.Stack(buf, true)])
		if !others(stacks) {
			return ""
		}
		if time.Now().After(deadline) {
			return stacks
		}
	}
}

// others reports whether there is a goroutine besides the first, which asks.
// The one that waits for signals, once somebody has, never ends.
func others(stacks string) bool {
	_, rest, _ := strings.Cut(stacks, "\n\n")
	for stack := range strings.SplitSeq(rest, "\n\n") {
		if strings.HasPrefix(stack, "goroutine ") && !strings.Contains(stack, "\ncreated by os/signal.Notify") {
			return true
		}
	}
	return false
}
