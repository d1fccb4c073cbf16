package runtime

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"
)

// TestSnapshotLayers captures what a sandbox changed of the layers below its
// own: removed files, replaced directories, and what it put into /usr.
func TestSnapshotLayers(t *testing.T) {
	rt := modes[0].start(t)
	box := create(t, rt, Spec{ID: "first"})
	run(t, box, `rm /etc/passwd && rm -r /var/lib && mkdir /var/lib && echo mine > /var/lib/x && echo changed > /etc/group
		mkdir secret && echo x > secret/x && chmod 0 secret/x secret && echo changed > /etc/hostname`)
	usr := run(t, box, "[ -w /usr/local/bin ] && echo yes || true") == "yes"
	if usr {
		run(t, box, "echo 'echo tool' > /usr/local/bin/tool && chmod +x /usr/local/bin/tool")
	}
	first := capture(t, box)
	second := create(t, rt, Spec{ID: "second", Base: first})
	check := func(box Sandbox, name string) {
		t.Helper()
		const want = "mine\nchanged\nx\n0"
		got := run(t, box, `[ ! -e /etc/passwd ] && [ "$(ls /var/lib)" = x ] && cat /var/lib/x /etc/group secret/x && stat -c %a secret/x`)
		if got != want {
			t.Errorf("%s: %q", name, got)
		}
		if usr && run(t, box, "tool") != "tool" {
			t.Errorf("%s: no tool", name)
		}
		if got := run(t, box, "cat /etc/hostname"); got != name {
			t.Errorf("%s calls itself %q", name, got)
		}
	}
	check(second, "second")
	// Of a snapshot of a snapshot only the last is needed.
	base := capture(t, second)
	if err := rt.RemoveSnapshot(first); err != nil {
		t.Fatal(err)
	}
	check(create(t, rt, Spec{ID: "third", Base: base}), "third")
}

// TestSnapshotAcross takes a snapshot of one runtime to the other.
func TestSnapshotAcross(t *testing.T) {
	for _, way := range [][2]mode{{modes[0], modes[2]}, {modes[2], modes[0]}, {modes[2], modes[3]}, {modes[3], modes[0]}} {
		for _, mode := range way {
			mode.start(t)
		}
		dir := filepath.Join(t.TempDir(), "snapshot")
		t.Run("from "+way[0].name, func(t *testing.T) {
			box := create(t, way[0].start(t), Spec{ID: "from"})
			mustWrite(t, box, "/app/x", "moved")
			if _, err := box.Capture(t.Context(), CaptureSpec{Dir: dir}); err != nil {
				t.Fatal(err)
			}
		})
		t.Run("to "+way[1].name, func(t *testing.T) {
			box := create(t, way[1].start(t), Spec{ID: "to", Base: dir})
			if got := run(t, box, "cat "+inside(box, "/app/x")); got != "moved" {
				t.Errorf("%q", got)
			}
		})
		if err := way[0].start(t).RemoveSnapshot(dir); err != nil {
			t.Error(err)
		}
	}
}

// TestSnapshotOwners keeps the owners that a sandbox gave its files.
func TestSnapshotOwners(t *testing.T) {
	rt := modes[0].start(t)
	if rt.(*native).ids.size < 2000 {
		t.Skip("there is one id only")
	}
	box := create(t, rt, Spec{ID: "first"})
	run(t, box, "touch x && cp /bin/true tool && chown 1234:1235 x tool && chmod 6755 tool")
	base := capture(t, box)
	next := create(t, rt, Spec{ID: "next", Base: base})
	if got := run(t, next, "stat -c %u:%g x && stat -c %u:%g:%a tool"); got != "1234:1235\n1234:1235:6755" {
		t.Error(got)
	}
	if info, err := os.Stat(filepath.Join(base, "root/home/user/x")); err != nil || info.Size() != 0 {
		t.Error(err)
	}
}

func BenchmarkSnapshot(b *testing.B) {
	rt, err := newNative(Config{Dir: filepath.Join(b.TempDir(), "boxes"), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Skip(err)
	}
	defer rt.Close()
	box, err := rt.Create(b.Context(), Spec{ID: "first"})
	if err != nil {
		b.Fatal(err)
	}
	process, err := box.Start(b.Context(), shell("for i in $(seq 200); do head -c 335544 /dev/urandom > $i; done"))
	if err != nil {
		b.Fatal(err)
	}
	if _, err := process.Wait(b.Context()); err != nil {
		b.Fatal(err)
	}
	dir := filepath.Join(b.TempDir(), "snapshot")
	b.Run("capture-64MiB-200", func(b *testing.B) {
		for b.Loop() {
			if err := rt.RemoveSnapshot(dir); err != nil {
				b.Fatal(err)
			}
			if _, err := box.Capture(b.Context(), CaptureSpec{Dir: dir}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("create-64MiB-200", func(b *testing.B) {
		for b.Loop() {
			next, err := rt.Create(b.Context(), Spec{ID: "next", Base: dir})
			if err != nil {
				b.Fatal(err)
			}
			if err := next.Close(); err != nil {
				b.Fatal(err)
			}
		}
	})
}
