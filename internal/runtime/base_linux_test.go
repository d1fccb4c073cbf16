package runtime

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// layered returns a runtime whose sandboxes lie over snapshots, and a directory
// for these.
func layered(t *testing.T) (*native, string) {
	t.Helper()
	rt := modes[0].start(t).(*native)
	if rt.template == "" {
		t.Skip("there is no overlayfs")
	}
	return rt, t.TempDir()
}

// captureInto makes a snapshot, which is to say that it lies over others.
func captureInto(t *testing.T, box Sandbox, dir string, below ...string) Captured {
	t.Helper()
	got, err := box.Capture(t.Context(), CaptureSpec{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	info, err := readInfo(dir)
	if err != nil || info == nil || !slices.Equal(info.Below, below) {
		t.Errorf("%s: %+v, %v", dir, info, err)
	}
	return got
}

// TestLayers: a snapshot of a sandbox made of a snapshot has what changed, and
// shows all that there was.
func TestLayers(t *testing.T) {
	rt, dir := layered(t)
	at := func(name string) string { return filepath.Join(dir, name) }
	first := create(t, rt, Spec{ID: "first"})
	run(t, first, `mkdir -p d/e && head -c 1000000 /dev/urandom > big && echo 1 > d/e/f && echo 1 > gone && echo 1 > changed &&
		ln changed hard && mkdir opaque && touch opaque/x && chmod 711 / && chmod 2775 /etc && chmod 0 gone && truncate -s 1G sparse`)
	run(t, first, "python3 -c 'import os; os.setxattr(\"changed\", \"user.note\", b\"kept\")'")
	a := captureInto(t, first, at("a"))
	if a.Bytes < 1000000 || a.Bytes > 2000000 {
		t.Errorf("%+v", a)
	}
	second := create(t, rt, Spec{ID: "second", Base: at("a")})
	run(t, second, "rm gone && echo 2 >> changed && rm -r opaque && mkdir opaque && touch opaque/y && mkdir d/new && rm big && head -c 500000 /dev/urandom > big")
	b := captureInto(t, second, at("b"), "a")
	if b.Bytes > a.Bytes-400000 || b.Bytes < 500000 {
		t.Errorf("%d bytes, %d without the changes", b.Bytes, a.Bytes)
	}
	if _, err := os.Lstat(at("b/root/home/user/sparse")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what did not change was copied: %v", err)
	}
	third := create(t, rt, Spec{ID: "third", Base: at("b")})
	const script = `cat changed; ls -A . d opaque; cat hard; stat -c %a / /etc; stat -c %s sparse big; ls gone 2>/dev/null
		python3 -c 'import os; print(os.getxattr("changed", "user.note").decode())'; cat /etc/hostname`
	want := run(t, second, script)
	if got := run(t, third, script); got != strings.ReplaceAll(want, "second", "third") || !strings.Contains(got, "711\n2775\n") {
		t.Errorf("%s\nwant\n%s", got, want)
	}
	if _, err := third.Capture(t.Context(), CaptureSpec{Dir: at("small"), Limit: b.Bytes - 1}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("beyond the limit: %v", err)
	}
	run(t, third, "rm -r d")
	if c := captureInto(t, third, at("c"), "b", "a"); c.Bytes >= b.Bytes {
		t.Errorf("%+v without d, %+v with it", c, b)
	}
	// In another place it is one layer, of the same size.
	elsewhere := filepath.Join(t.TempDir(), "d")
	one := captureInto(t, second, elsewhere)
	if one != b {
		t.Errorf("%+v as one layer, %+v as two", one, b)
	}
	fourth := create(t, rt, Spec{ID: "fourth", Base: elsewhere})
	if got := run(t, fourth, script); got != strings.ReplaceAll(want, "second", "fourth") {
		t.Errorf("%s\nwant\n%s", got, want)
	}
	if err := rt.RemoveSnapshot(elsewhere); err != nil {
		t.Error(err)
	}
}

// TestLayersOfOthers gives a snapshot with layers to a runtime without them.
func TestLayersOfOthers(t *testing.T) {
	rt, dir := layered(t)
	for i, script := range []string{"true", "rm /app/gone", "rm -r /app/d && mkdir /app/d && echo 2 > /app/d/y"} {
		spec := Spec{ID: fmt.Sprint("box-", i)}
		if i > 0 {
			spec.Base = filepath.Join(dir, strconv.Itoa(i-1))
		}
		box := create(t, rt, spec)
		if i == 0 {
			run(t, box, "echo 1 > /app/gone; echo 1 > /app/stays; mkdir /app/d; echo 1 > /app/d/x")
		}
		run(t, box, script)
		if _, err := box.Capture(t.Context(), CaptureSpec{Dir: filepath.Join(dir, strconv.Itoa(i))}); err != nil {
			t.Fatal(err)
		}
	}
	for _, m := range modes[2:] {
		t.Run(m.name, func(t *testing.T) {
			box := create(t, m.start(t), Spec{ID: "other", Base: filepath.Join(dir, "2")})
			if got := run(t, box, "cd "+inside(box, "/app")+" && echo $(ls -A . d)"); got != ".: d stays d: y" {
				t.Errorf("%q", got)
			}
		})
	}
}

// TestLayersDepth makes more snapshots of snapshots than are put over each
// other.
func TestLayersDepth(t *testing.T) {
	rt, dir := layered(t)
	at := func(i int) string { return filepath.Join(dir, strconv.Itoa(i)) }
	const last = 2*maxDepth + 3
	deepest := 0
	for i := range last {
		spec := Spec{ID: fmt.Sprint("box-", i)}
		if i > 0 {
			spec.Base = at(i - 1)
		}
		box := create(t, rt, spec)
		run(t, box, fmt.Sprintf("touch f%d && rm -f f%d && echo %d > last", i, i-2, i))
		if _, err := box.Capture(t.Context(), CaptureSpec{Dir: at(i)}); err != nil {
			t.Fatal(err)
		}
		if err := box.Close(); err != nil {
			t.Fatal(err)
		}
		if i > 0 {
			if err := rt.RemoveSnapshot(at(i - 1)); err != nil {
				t.Fatal(err)
			}
		}
		deepest = max(deepest, len(entries(t, dir)))
	}
	if deepest > maxDepth+1 {
		t.Errorf("%d layers at a time", deepest)
	}
	box := create(t, rt, Spec{ID: "last", Base: at(last - 1)})
	if got, want := run(t, box, "cat last && echo f*"), fmt.Sprintf("%d\nf%d f%d", last-1, last-2, last-1); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestLayersRemoved: the files of a snapshot that is removed stay as long as
// something lies over them.
func TestLayersRemoved(t *testing.T) {
	rt, dir := layered(t)
	at := func(name string) string { return filepath.Join(dir, name) }
	there := func(want ...string) {
		t.Helper()
		if got := entries(t, dir); !slices.Equal(got, want) {
			t.Errorf("there is %q, want %q", got, want)
		}
	}
	remove := func(name string) {
		t.Helper()
		if err := rt.RemoveSnapshot(at(name)); err != nil {
			t.Error(err)
		}
	}
	box := create(t, rt, Spec{ID: "first"})
	mustWrite(t, box, "/app/x", "one")
	captureInto(t, box, at("a"))
	captureInto(t, box, at("other"))
	remove("other")
	there("a")
	second := create(t, rt, Spec{ID: "second", Base: at("a")})
	mustWrite(t, second, "/app/y", "two")
	captureInto(t, second, at("b"), "a")
	remove("a")
	there("a", "b")
	if _, err := rt.Create(t.Context(), Spec{ID: "late", Base: at("a")}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a sandbox of a removed snapshot: %v", err)
	}
	third := create(t, rt, Spec{ID: "third", Base: at("b")})
	remove("b")
	if err := second.Close(); err != nil {
		t.Error(err)
	}
	there("a", "b")
	if err := third.Stop(); err != nil {
		t.Error(err)
	}
	there("a", "b")
	third = create(t, rt, Spec{ID: "third"})
	if got := mustRead(t, third, "/app/x") + mustRead(t, third, "/app/y"); got != "onetwo" {
		t.Errorf("%q", got)
	}
	captureInto(t, third, at("c"), "b", "a")
	if err := third.Close(); err != nil {
		t.Error(err)
	}
	there("a", "b", "c")
	remove("c")
	there()
	remove("c")
}

// BenchmarkBase creates sandboxes of nothing and of snapshots by turns.
func BenchmarkBase(b *testing.B) {
	rt, err := newNative(Config{Dir: filepath.Join(b.TempDir(), "boxes"), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Skip(err)
	}
	defer rt.Close()
	bases := map[string]string{"empty": ""}
	for _, files := range []int{10, 10_000} {
		box, err := rt.Create(b.Context(), Spec{ID: "source"})
		if err != nil {
			b.Fatal(err)
		}
		process, err := box.Start(b.Context(), shell(fmt.Sprintf("for i in $(seq %d); do echo $i > f$i; done", files)))
		if err != nil {
			b.Fatal(err)
		}
		if _, err := process.Wait(b.Context()); err != nil {
			b.Fatal(err)
		}
		name := fmt.Sprintf("files-%d", files)
		bases[name] = filepath.Join(b.TempDir(), name)
		if _, err := box.Capture(b.Context(), CaptureSpec{Dir: bases[name]}); err != nil {
			b.Fatal(err)
		}
		if err := box.Close(); err != nil {
			b.Fatal(err)
		}
	}
	took := make(map[string][]time.Duration)
	for b.Loop() {
		for name, base := range bases {
			began := time.Now()
			box, err := rt.Create(b.Context(), Spec{ID: "next", Base: base})
			took[name] = append(took[name], time.Since(began))
			if err != nil {
				b.Fatal(err)
			}
			if err := box.Close(); err != nil {
				b.Fatal(err)
			}
		}
	}
	median := func(name string) float64 {
		slices.Sort(took[name])
		return float64(took[name][len(took[name])/2])
	}
	for name := range bases {
		b.ReportMetric(median(name)/1e6, name+"-ms")
	}
	b.ReportMetric(median("files-10000")/median("empty"), "files-10000/empty")
	for _, base := range bases {
		if base != "" {
			if err := rt.RemoveSnapshot(base); err != nil {
				b.Error(err)
			}
		}
	}
}
