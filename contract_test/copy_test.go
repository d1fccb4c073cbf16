package contract_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

// tree is a local tree of all there is to copy.
func tree(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for name, mode := range map[string]fs.FileMode{
		"run.sh": 0o755, "secret": 0o600, "read-only": 0o444, "sub/deep/file": 0o640, "sub/skip.tmp": 0o644, "node_modules/x/y": 0o644,
		"-dash": 0o644, "new\nline": 0o644, strings.Repeat("long/", 60) + "x": 0o644,
	} {
		full := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(full), 0o755), os.WriteFile(full, []byte(strings.Repeat(name, 100)), mode), os.Chmod(full, mode)); err != nil {
			t.Fatal(err)
		}
	}
	past := time.Date(2020, time.January, 2, 3, 4, 5, 0, time.UTC)
	if err := errors.Join(os.Mkdir(filepath.Join(dir, "empty"), 0o750), os.Symlink("sub/deep/file", filepath.Join(dir, "link")),
		os.Symlink("../run.sh", filepath.Join(dir, "sub/up")), os.Chmod(filepath.Join(dir, "sub/deep"), 0o555),
		os.Chtimes(filepath.Join(dir, "secret"), past, past), os.Chtimes(filepath.Join(dir, "empty"), past, past)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(filepath.Join(dir, "sub/deep"), 0o755) })
	return dir
}

// listing is a tree with all that is to be kept.
func listing(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || name == dir {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		text := info.Mode().String()
		switch {
		case info.Mode().IsRegular():
			content, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			text += fmt.Sprintf(" %x %s", sha256.Sum256(content), info.ModTime().UTC().Truncate(time.Second))
		case info.Mode().Type() == fs.ModeSymlink:
			target, err := os.Readlink(name)
			if err != nil {
				return err
			}
			text += " " + target
		}
		rel, err := filepath.Rel(dir, name)
		all[rel] = text
		return err
	})
	if err != nil {
		t.Error(err)
	}
	return all
}

func copyTo(t *testing.T, sb *sandboxclient.Sandbox, from string, opts *sandboxclient.CopyOptions) (dir string, err error) {
	t.Helper()
	dir = t.TempDir()
	root := ok[*os.Root](t)(os.OpenRoot(dir))
	defer root.Close()
	err = sb.CopyTo(t.Context(), root, from, opts)
	t.Cleanup(func() { _ = os.Chmod(filepath.Join(dir, "sub/deep"), 0o755) })
	return dir, err
}

// TestCopyTree: a tree goes there and back and is what it was.
func TestCopyTree(t *testing.T) {
	t.Parallel()
	_, sb := lineSandbox(t)
	home(t, sb)
	local := tree(t)
	var progress []sandboxclient.CopyProgress
	note := func(p sandboxclient.CopyProgress) { progress = append(progress, p) }
	for i, dir := range []string{"-rf", "a 'b'\n", "\xfe"} {
		progress = nil
		if err := sb.CopyFS(t.Context(), dir, os.DirFS(local), &sandboxclient.CopyOptions{Progress: note}); err != nil {
			t.Fatalf("%q: %v", dir, err)
		}
		if last := progress[len(progress)-1]; last.Files != 9 || last.Bytes == 0 {
			t.Errorf("progress %+v", last)
		}
		if i == 0 { // over what is there already, and not only over nothing
			ok[*sandboxclient.Result](t)(sb.Run(t.Context(), "chmod -R u+w ./"+dir, nil))
			if err := sb.CopyFS(t.Context(), dir, os.DirFS(local), nil); err != nil {
				t.Error(err)
			}
		}
		progress = nil
		back, err := copyTo(t, sb, dir, &sandboxclient.CopyOptions{Progress: note})
		if err != nil {
			t.Fatalf("%q: %v", dir, err)
		}
		if diff := cmp.Diff(listing(t, local), listing(t, back)); diff != "" {
			t.Errorf("%q (-went +came back):\n%s", dir, diff)
		}
		if last := progress[len(progress)-1]; last.Files != 9 {
			t.Errorf("progress %+v", last)
		}
	}
	if got := output(t, sb, "cd ./-rf && stat -c %a run.sh secret empty sub/deep && ls -l link | sed 's/.*-> //' && stat -c %Y secret"); got != "755\n600\n750\n555\nsub/deep/file\n1577934245\n" {
		t.Errorf("the sandbox has %q", got)
	}
}

func TestCopySelection(t *testing.T) {
	t.Parallel()
	_, sb := lineSandbox(t)
	home(t, sb)
	if err := sb.CopyFS(t.Context(), "all", os.DirFS(tree(t)), nil); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		opts sandboxclient.CopyOptions
		want string
	}{
		"a directory":   {sandboxclient.CopyOptions{Include: []string{"sub"}}, "sub sub/deep sub/deep/file sub/skip.tmp sub/up"},
		"but not all":   {sandboxclient.CopyOptions{Include: []string{"sub"}, Exclude: []string{"*.tmp", "deep"}}, "sub sub/up"},
		"by a path":     {sandboxclient.CopyOptions{Include: []string{"sub/*/file", "empty"}}, "empty sub sub/deep sub/deep/file"},
		"by name":       {sandboxclient.CopyOptions{Include: []string{"*.sh", "y"}}, "node_modules node_modules/x node_modules/x/y run.sh"},
		"nothing is it": {sandboxclient.CopyOptions{Include: []string{"none"}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, err := copyTo(t, sb, "all", &tt.opts)
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(slices.Sorted(maps.Keys(listing(t, dir))), " "); got != tt.want {
				t.Errorf("out: %q, want %q", got, tt.want)
			}
			for path, text := range listing(t, dir) {
				if path == "sub" && !strings.HasPrefix(text, "drwxr-xr-x") || path == "sub/deep" && !strings.HasPrefix(text, "dr-xr-xr-x") {
					t.Errorf("%s is %s", path, text)
				}
			}
			to := "in-" + strings.ReplaceAll(name, " ", "-")
			if err := sb.CopyFS(t.Context(), to, os.DirFS(tree(t)), &tt.opts); err != nil {
				t.Fatal(err)
			}
			if got := output(t, sb, "cd "+to+" && find . | sed 's,^\\./*,,' | grep . | LC_ALL=C sort"); strings.ReplaceAll(strings.TrimSpace(got), "\n", " ") != tt.want {
				t.Errorf("in: %q, want %q", got, tt.want)
			}
		})
	}
}

func TestCopyErrors(t *testing.T) {
	t.Parallel()
	_, sb := lineSandbox(t)
	home(t, sb)
	output(t, sb, "mkdir dir odd; echo x > file; echo 0123456789 > dir/f; ln -s /etc/passwd odd/out; mkfifo odd/pipe; echo ok > odd/fine")
	ctx := t.Context()
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	local := os.DirFS(tree(t))
	to := func(from string, opts *sandboxclient.CopyOptions) error {
		_, err := copyTo(t, sb, from, opts)
		return err
	}
	root := ok[*os.Root](t)(os.OpenRoot(t.TempDir()))
	defer root.Close()
	full := fstest.MapFS{"pipe": {Mode: fs.ModeNamedPipe}}
	for _, c := range []struct {
		name string
		err  error
		is   error
	}{
		{"from nowhere", to("none", nil), fs.ErrNotExist},
		{"from a file", to("file", nil), syscall.ENOTDIR},
		{"to a file", sb.CopyFS(ctx, "file", local, nil), fs.ErrExist},
		{"below a file", sb.CopyFS(ctx, "file/x", local, nil), syscall.ENOTDIR},
		{"of nothing", sb.CopyFS(ctx, "x", os.DirFS(t.TempDir()+"/none"), nil), fs.ErrNotExist},
		{"of a pipe", sb.CopyFS(ctx, "x", full, nil), sandboxclient.ErrInvalid},
		{"cancelled in", sb.CopyFS(cancelled, "x", local, nil), context.Canceled},
		{"cancelled out", sb.CopyTo(cancelled, root, "dir", nil), context.Canceled},
		{"too much in", sb.CopyFS(ctx, "x", local, &sandboxclient.CopyOptions{MaxBytes: 10}), sandboxclient.ErrTooLarge},
		{"too much out", to("dir", &sandboxclient.CopyOptions{MaxBytes: 10}), sandboxclient.ErrTooLarge},
		{"just enough", to("dir", &sandboxclient.CopyOptions{MaxBytes: 11}), nil},
		{"what is not safe", to("odd", nil), sandboxclient.ErrUnsafe},
		{"bad pattern in", sb.CopyFS(ctx, "x", local, &sandboxclient.CopyOptions{Include: []string{"["}}), sandboxclient.ErrInvalid},
		{"bad pattern out", to("dir", &sandboxclient.CopyOptions{Exclude: []string{"../x"}}), sandboxclient.ErrInvalid},
		{"no file system", sb.CopyFS(ctx, "x", nil, nil), sandboxclient.ErrInvalid},
		{"no root", sb.CopyTo(ctx, nil, "dir", nil), sandboxclient.ErrInvalid},
		{"no directory in", sb.CopyFS(ctx, "", local, nil), sandboxclient.ErrInvalid},
		{"no directory out", to("", nil), sandboxclient.ErrInvalid},
	} {
		if c.is == nil {
			if c.err != nil {
				t.Errorf("%s: %v", c.name, c.err)
			}
			continue
		}
		if _, isPath := errors.AsType[*fs.PathError](c.err); !isPath || !errors.Is(c.err, c.is) {
			t.Errorf("%s: %v, want %v", c.name, c.err, c.is)
		}
	}
	dir, _ := copyTo(t, sb, "odd", nil)
	if got := slices.Collect(maps.Keys(listing(t, dir))); len(got) != 1 || got[0] != "fine" {
		t.Errorf("next to what is not safe: %v", got)
	}
	output(t, sb, `mkdir raw; echo x > raw/$(printf '\377')`)
	if dir, err := copyTo(t, sb, "raw", nil); err != nil || len(listing(t, dir)) != 1 || listing(t, dir)["\xff"] == "" {
		t.Errorf("names that are not text: %q, %v", listing(t, dir), err)
	}
}

// TestCopyOverLostConnections: a tree is whole although its line is cut.
func TestCopyOverLostConnections(t *testing.T) {
	t.Parallel()
	lines, sb := lineSandbox(t)
	home(t, sb)
	local := t.TempDir()
	content := make([]byte, 1<<20)
	for i := range 8 {
		for j := range content {
			content[j] = byte(rand.IntN(256))
		}
		if err := os.WriteFile(filepath.Join(local, strconv.Itoa(i)), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cut := func() *sandboxclient.CopyOptions {
		return &sandboxclient.CopyOptions{Progress: func(p sandboxclient.CopyProgress) {
			if p.Files%3 == 1 {
				lines.cut()
			}
		}}
	}
	if err := sb.CopyFS(t.Context(), "tree", os.DirFS(local), cut()); err != nil {
		t.Fatal(err)
	}
	back, err := copyTo(t, sb, "tree", cut())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(listing(t, local), listing(t, back)); diff != "" {
		t.Errorf("(-went +came back):\n%s", diff)
	}
}
