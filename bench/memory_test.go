package bench

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
)

// What a child is told in the role of measuring memory.
const (
	addressVariable  = "SANDBOX_BENCH_ADDRESS"
	deliveryVariable = "SANDBOX_BENCH_DELIVERY"
	commandVariable  = "SANDBOX_BENCH_COMMAND"
	sizeVariable     = "SANDBOX_BENCH_SIZE"
)

// reportMemory streams once and prints the peak of this process's memory.
func reportMemory() error {
	ctx := context.Background()
	box, err := connect(ctx, os.Getenv(addressVariable))
	if err != nil {
		return err
	}
	got, err := deliveries[os.Getenv(deliveryVariable)](ctx, box, os.Getenv(commandVariable))
	if err != nil {
		return err
	}
	want, err := strconv.ParseInt(os.Getenv(sizeVariable), 10, 64)
	if err = expect(got, want, err); err != nil {
		return err
	}
	peak, err := peakMemory()
	fmt.Println(peak)
	return err
}

// BenchmarkMemory is the peak memory of a process that streams a little, and
// much; with the flag -mib at its default, 64 MiB and 2 GiB.
func BenchmarkMemory(b *testing.B) {
	if _, err := peakMemory(); err != nil {
		b.Skip("the peak memory cannot be known: ", err)
	}
	address := stubServer(b)
	for _, how := range []string{"writer", "iterator"} {
		for _, size := range []int{4 << 10, 256 << 10} {
			for _, mib := range []int{2 * *mebibytes, 64 * *mebibytes} {
				b.Run(fmt.Sprintf("%dk/%s/%dMiB", size>>10, how, mib), func(b *testing.B) {
					memory(b, address, how, fmt.Sprintf("stream plain %d %d", size, mib<<20/size), mib)
				})
			}
		}
	}
	for _, how := range []string{"upload", "upload-stream", "download"} {
		for _, mib := range []int{2 * *mebibytes, 8 * *mebibytes} {
			b.Run(fmt.Sprintf("%s/%dMiB", how, mib), func(b *testing.B) { memory(b, address, how, strconv.Itoa(mib<<20), mib) })
		}
	}
}

// memory measures one delivery in processes of its own.
func memory(b *testing.B, address, how, command string, mib int) {
	b.Helper()
	var peaks []float64
	for b.Loop() {
		out, err := child(b, roleMemory, addressVariable+"="+address, deliveryVariable+"="+how,
			commandVariable+"="+command, fmt.Sprint(sizeVariable, "=", mib<<20)).Output()
		if err != nil {
			b.Fatal(err)
		}
		peak, err := strconv.ParseFloat(strings.TrimSpace(string(out)), 64)
		if err != nil {
			b.Fatal(err)
		}
		peaks = append(peaks, peak/1e6)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(median(peaks), "peak-MB")
}
