package leaktest

import "testing"

func TestOthers(t *testing.T) {
	t.Parallel()
	const (
		first   = "goroutine 1 [running]:\nmain.main()\n\t/x.go:1 +0x1"
		second  = "\n\ngoroutine 7 [select]:\nmain.left()\n\t/x.go:2 +0x1\ncreated by main.main in goroutine 1\n\t/x.go:3 +0x1"
		signals = "\n\ngoroutine 5 [syscall]:\nos/signal.signal_recv()\n\t/s.go:1 +0x1\ncreated by os/signal.Notify.func1.1 in goroutine 21\n\t/s.go:2 +0x1"
	)
	for stacks, want := range map[string]bool{
		first: false, first + "\n": false, first + signals: false,
		first + second: true, first + signals + second: true, first + second + signals: true,
	} {
		if got := others(stacks); got != want {
			t.Errorf("%t for %s", got, stacks)
		}
	}
}
