package bench

import (
	"context"
	"fmt"
	"strconv"
	"testing"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

// count is a writer that only counts.
type count int64

func (c *count) Write(p []byte) (int, error) {
	*c += count(len(p))
	return len(p), nil
}

// deliver runs a command of the SDK and returns the size of its output.
type deliver func(ctx context.Context, s *sandboxclient.Sandbox, command string) (int64, error)

func toWriter(ctx context.Context, s *sandboxclient.Sandbox, command string) (int64, error) {
	var size count
	c := s.Shell(command)
	c.Stdout = &size
	err := c.Run(ctx)
	return int64(size), err
}

func toIterator(ctx context.Context, s *sandboxclient.Sandbox, command string) (int64, error) {
	var size int64
	for chunk, err := range s.Shell(command).Stream(ctx) {
		if err != nil {
			return size, err
		}
		size += int64(len(chunk.Data))
	}
	return size, nil
}

var deliveries = map[string]deliver{"writer": toWriter, "iterator": toIterator}

func BenchmarkStream(b *testing.B) {
	address := stubServer(b)
	box, err := connect(b.Context(), address)
	if err != nil {
		b.Fatal(err)
	}
	floor := newFloor(address)
	for _, size := range []int{4 << 10, 32 << 10, 256 << 10} {
		for _, kind := range []string{"plain", "utf8", "esc", "ansi"} {
			for _, how := range []string{"writer", "iterator"} {
				b.Run(strconv.Itoa(size>>10)+"k/"+kind+"/"+how, func(b *testing.B) {
					stream(b, floor, box, deliveries[how], kind, size)
				})
			}
		}
	}
}

func stream(b *testing.B, f *floor, box *sandboxclient.Sandbox, sdk deliver, kind string, size int) {
	chunks := *mebibytes << 20 / size
	command := func(n int) string { return fmt.Sprintf("stream %s %d %d", kind, size, n) }
	want, err := f.run(command(chunks))
	if err != nil {
		b.Fatal(err)
	}
	// What a connection costs whatever it carries; the first fills caches.
	var empty cost
	for range 2 {
		empty = measure(b, func() error {
			_, err := sdk(b.Context(), box, command(1))
			return err
		})
	}
	p := pair{bytes: want, units: chunks, unit: "chunk", baseline: empty.mallocs}
	p.floor = func() error {
		got, err := f.run(command(chunks))
		return expect(got, want, err)
	}
	p.sdk = func() error {
		got, err := sdk(b.Context(), box, command(chunks))
		return expect(got, want, err)
	}
	p.run(b)
}
