package session

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

// TestReplayAgainstASlice does random things to a replay buffer and to a slice.
func TestReplayAgainstASlice(t *testing.T) {
	t.Parallel()
	for seed := range uint64(50) {
		random := rand.New(rand.NewPCG(seed, 0))
		budget := NewBudget(1 << 20)
		r := replay{limit: 1 + random.IntN(300), spill: &spill{dir: t.TempDir(), limit: random.Int64N(500), budget: budget}}
		var all []byte
		for range 2000 {
			switch n := random.IntN(r.limit + 1); random.IntN(6) {
			case 0, 1, 2:
				p := make([]byte, min(n, r.free()))
				for i := range p {
					p[i] = byte(random.Uint32())
				}
				r.write(p)
				all = append(all, p...)
			case 3:
				r.save(min(n, int(r.end-r.start)))
			case 4:
				r.overwrite(min(n, int(r.end-r.start)))
			case 5:
				if random.IntN(10) == 0 {
					r.drop(min(n, int(r.end-r.start)))
				}
			}
			check(t, &r, all, random)
		}
		r.shrink()
		check(t, &r, all, random)
		r.spill.close()
		if left := budget.left.Load(); left != 1<<20 {
			t.Errorf("seed %d: budget has %d left", seed, left)
		}
	}
}

func check(t *testing.T, r *replay, all []byte, random *rand.Rand) {
	t.Helper()
	base := r.base()
	if r.end != int64(len(all)) || base > r.start || r.start > r.end || r.end-r.start > int64(r.limit) {
		t.Fatalf("base %d start %d end %d of %d, limit %d", base, r.start, r.end, len(all), r.limit)
	}
	if base == r.end {
		return
	}
	off := base + random.Int64N(r.end-base)
	p := make([]byte, 1+random.IntN(600))
	n, err := r.readAt(p, off)
	if err != nil || n == 0 || !bytes.Equal(p[:n], all[off:off+int64(n)]) {
		t.Fatalf("%d bytes at %d: %v", n, off, err)
	}
}

func TestSpillLeavesNoFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := spill{dir: dir, limit: 100, budget: NewBudget(1000)}
	if !s.append(0, []byte("kept")) {
		t.Fatal("no room")
	}
	s.close()
	if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

func TestSpillKeepsToItsBudget(t *testing.T) {
	t.Parallel()
	budget := NewBudget(150)
	a := spill{dir: t.TempDir(), limit: 100, budget: budget}
	b := spill{dir: t.TempDir(), limit: 100, budget: budget}
	if !a.append(0, make([]byte, 100)) || b.append(0, make([]byte, 60)) {
		t.Error("the budget is not kept")
	}
	a.close()
	if !b.append(0, make([]byte, 60)) {
		t.Error("the budget is not given back")
	}
	b.close()
}

func TestSpillWithoutADisk(t *testing.T) {
	t.Parallel()
	s := spill{dir: filepath.Join(t.TempDir(), "missing"), limit: 100, budget: NewBudget(1000)}
	if s.append(0, []byte("x")) {
		t.Error("kept where nothing can be")
	}
	s.close()
	if _, err := os.Stat(s.dir); !os.IsNotExist(err) {
		t.Error(err)
	}
}

func TestExpiredIDsAreBounded(t *testing.T) {
	t.Parallel()
	var e expired
	id := func(i int) string { return string(rune('a'+i%26)) + string(rune(0x4e00+i)) }
	for i := range maxExpired + 10 {
		e.add(id(i))
	}
	if e.has(id(9)) || !e.has(id(10)) || !e.has(id(maxExpired+9)) || len(e.ids) != maxExpired {
		t.Errorf("%d ids", len(e.ids))
	}
}
