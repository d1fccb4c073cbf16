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

// Main is for TestMain. It runs the tests and ends the program, which fails
// when another goroutine is left. Fuzzing leaves some of its own.
func Main(m *testing.M) {
	code := m.Run()
	if flag.Lookup("test.fuzz").Value.String() != "" {
		os.Exit(code)
	}
	if left := leftover(); code == 0 && left != "" {
		fmt.Fprintln(os.Stderr, "goroutines are left:\n"+left)
		code = 1
	}
	os.Exit(code)
}

// leftover waits for goroutines to end and returns the stacks of all if some do
// not.
func leftover() string {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); ; <-tick.C {
		buf := make([]byte, 1<<20)
		stacks := string(buf[:runtime.Stack(buf, true)])
		if !strings.Contains(stacks, "\n\ngoroutine ") {
			return ""
		}
		if time.Now().After(deadline) {
			return stacks
		}
	}
}
