package runtime

import (
	"bufio"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// many is how many sandboxes there are at once.
const many = 200

// BenchmarkCreateMany starts many sandboxes at once, runs a command in each as
// soon as it is there, and says what an idle one costs and how long all take to
// go.
func BenchmarkCreateMany(b *testing.B) {
	n := benchNative(b, true)
	var starts, ends spread
	var memory int64
	for i := 0; b.Loop(); i++ {
		boxes := make([]Sandbox, many)
		all := func(f func(at int)) {
			var group sync.WaitGroup
			for at := range boxes {
				group.Go(func() { f(at) })
			}
			group.Wait()
		}
		starts.time(func() {
			all(func(at int) {
				box, err := n.Create(b.Context(), Spec{ID: "m" + strconv.Itoa(i) + "-" + strconv.Itoa(at)})
				if err != nil {
					b.Error(err)
					return
				}
				boxes[at] = box
				runPiped(b, box, "/bin/true")
			})
		})
		if b.Failed() {
			return
		}
		memory = 0
		for _, box := range boxes {
			memory += proportional(b, box.(*sandbox).agent.Pid) / many
		}
		ends.time(func() {
			all(func(at int) {
				if err := boxes[at].Close(); err != nil {
					b.Error(err)
				}
			})
		})
	}
	starts.report(b)
	b.ReportMetric(float64(memory)/(1<<20), "idle-MiB")
	b.ReportMetric(float64(ends[len(ends)/2].Milliseconds()), "close-ms")
}

// proportional is the memory of a process, with its share of what it has in
// common with others, in bytes.
func proportional(b *testing.B, pid int) int64 {
	b.Helper()
	file, err := os.Open(inProc(pid, "smaps_rollup"))
	if err != nil {
		b.Skip(err)
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if fields := strings.Fields(lines.Text()); len(fields) > 1 && fields[0] == "Pss:" {
			kib, err := strconv.ParseInt(fields[1], 10, 64)
			if err != nil {
				b.Fatal(err)
			}
			return kib << 10
		}
	}
	b.Fatal("no sum of memory")
	return 0
}
