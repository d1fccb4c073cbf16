package sandboxserver

import (
	"fmt"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/langsandbox/sandbox-go/gen"
)

// benchEngine is an engine on a fake runtime with n sandboxes.
func benchEngine(b *testing.B, dir string, n int) *engine {
	b.Helper()
	server, err := New(Config{Dir: dir, runtime: newFakeRuntime()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := server.Close(); err != nil {
			b.Error(err)
		}
	})
	e := server.engine
	e.mu.Lock()
	for i := range n {
		box := &box{meta: e.newMeta(newID(), fmt.Sprintf("old-%d", i)), status: gen.StatusStopped, traits: traits{
			labels: map[string]string{"team": "one", "purpose": "bench"}, env: map[string]string{"A": "some value", "B": "another one"},
		}}
		e.boxes.add(box)
	}
	e.mu.Unlock()
	if err := e.save(); err != nil {
		b.Fatal(err)
	}
	return e
}

// BenchmarkChange is one change of a sandbox among others, on the disk before
// it returns.
func BenchmarkChange(b *testing.B) {
	for _, n := range []int{0, 1000, 10000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			e := benchEngine(b, b.TempDir(), n+1)
			one := e.boxes.byName["old-0"]
			for b.Loop() {
				if err := e.do(func() error { e.boxes.changed(one); return nil }); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkCreateAmong creates and deletes sandboxes among a thousand others,
// alone and sixteen at once, without and with a store. The runtime does
// nothing: this is what the store costs.
func BenchmarkCreateAmong(b *testing.B) {
	for _, kept := range []bool{false, true} {
		for _, clients := range []int{1, 16} {
			b.Run(fmt.Sprintf("kept=%t/clients=%d", kept, clients), func(b *testing.B) {
				dir := ""
				if kept {
					dir = b.TempDir()
				}
				e := benchEngine(b, dir, 1000)
				var names atomic.Int64
				b.SetParallelism(clients)
				b.ResetTimer()
				each := func() {
					name := fmt.Sprintf("new-%d", names.Add(1))
					if _, err := e.createBox(b.Context(), gen.CreateSandbox{Name: name}); err != nil {
						b.Error(err)
					}
					if err := e.deleteBox(b.Context(), name); err != nil {
						b.Error(err)
					}
				}
				if clients == 1 {
					for range b.N {
						each()
					}
					return
				}
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						each()
					}
				})
			})
		}
	}
}
