package contract_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

// home is the home directory of a sandbox, as its commands know it.
func home(t *testing.T, sb *sandboxclient.Sandbox) string {
	t.Helper()
	if err := sb.WriteFile(t.Context(), ".here", nil); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSuffix(output(t, sb, "pwd"), "\n")
}

// TestFS: the file system of a sandbox is one as io/fs has them.
func TestFS(t *testing.T) {
	t.Parallel()
	_, sb := lineSandbox(t)
	dir := home(t, sb) + "/tree [x]*"
	ctx := t.Context()
	for _, name := range []string{"a.txt", "dir/b.txt", "dir/sub/c", "-dash", "b*[x]?", "ünï", ".hidden", "empty"} {
		if err := sb.WriteFile(ctx, dir+"/"+name, []byte(strings.Repeat(name, 100*(len(name)%3)))); err != nil {
			t.Fatal(err)
		}
	}
	if err := sb.MkdirAll(ctx, dir+"/none/here"); err != nil {
		t.Fatal(err)
	}
	tree := sb.FS(ctx, dir)
	if err := fstest.TestFS(tree, "a.txt", "dir/b.txt", "dir/sub/c", "-dash", "b*[x]?", "ünï", ".hidden", "empty", "none/here"); err != nil {
		t.Error(err)
	}
	sub := ok[fs.FS](t)(fs.Sub(tree, "dir"))
	if err := fstest.TestFS(sub, "b.txt", "sub/c"); err != nil {
		t.Error(err)
	}
	if found := ok[[]string](t)(fs.Glob(tree, "*/*.txt")); len(found) != 1 || found[0] != "dir/b.txt" {
		t.Errorf("found %v", found)
	}
	_, err := tree.Open("dir/none")
	if pathError, isPath := errors.AsType[*fs.PathError](err); !isPath || pathError.Path != "dir/none" || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("open: %v", err)
	}
	_, err = tree.ReadFile("dir")
	is(t, err, sandboxclient.ErrOperation)
	_, err = tree.ReadDir("a.txt")
	is(t, err, sandboxclient.ErrOperation)
	if err := sb.WriteFile(ctx, dir+`/back\slash`, nil); err != nil {
		t.Fatal(err)
	}
	if info, err := tree.Stat(`back\slash`); err != nil || info.IsDir() {
		t.Errorf("stat: %v, %v", info, err)
	}
	if info, err := sb.Stat(ctx, dir); err != nil || !info.IsDir() || info.Path() != dir {
		t.Errorf("stat of a name with magic: %+v, %v", info, err)
	}
	root := ok[fs.FileInfo](t)(sb.FS(ctx, "/").Stat("."))
	if !root.IsDir() || root.Name() != "." {
		t.Errorf("the root is %+v", root)
	}
}

// TestFileChangesWhileRead: a file that is written again is not mixed with what
// was read of it.
func TestFileChangesWhileRead(t *testing.T) {
	t.Parallel()
	_, sb := lineSandbox(t)
	dir := home(t, sb)
	ctx := t.Context()
	if err := sb.WriteFile(ctx, dir+"/f", []byte("first content")); err != nil {
		t.Fatal(err)
	}
	f := ok[fs.File](t)(sb.FS(ctx, dir).Open("f"))
	defer f.Close()
	if _, err := io.ReadFull(f, make([]byte, 5)); err != nil {
		t.Error(err)
	}
	time.Sleep(20 * time.Millisecond) // the file system's own clock
	if err := sb.WriteFile(ctx, dir+"/f", []byte("other content")); err != nil {
		t.Fatal(err)
	}
	if _, err := f.(io.Seeker).Seek(0, io.SeekStart); err != nil {
		t.Error(err)
	}
	_, err := f.Read(make([]byte, 5))
	is(t, err, sandboxclient.ErrChanged)
}

// oddNames are names that a shell, a tool or JSON would make another of.
var oddNames = []string{
	"plain", "-rf", "--", "a b", " ", "'", `"`, "$HOME", "`id`", "*", "a\nb", "\n", "end\n", `back\slash`, "ü", "\xff\xfe", "\xffend\n", "a;b", "~", "#", "-", "!", "=", "(",
}

// TestFileChanges: what has no route is done by commands, whatever the names.
func TestFileChanges(t *testing.T) {
	t.Parallel()
	_, sb := lineSandbox(t)
	base := home(t, sb)
	ctx := t.Context()
	for i, name := range oddNames {
		dir := base + "/odd/" + string(rune('a'+i))
		if err := sb.MkdirAll(ctx, dir+"/"+name+"/"+name+"/"); err != nil {
			t.Errorf("%q: %v", name, err)
			continue
		}
		content := []byte(name)
		if err := sb.WriteFile(ctx, dir+"/"+name+"/"+name+"/file", content); err != nil {
			t.Errorf("%q: %v", name, err)
		}
		if err := sb.Rename(ctx, dir+"/"+name, dir+"/to"+name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
		if got, err := sb.ReadFile(ctx, dir+"/to"+name+"/"+name+"/file"); err != nil || !bytes.Equal(got, content) {
			t.Errorf("%q: %q, %v", name, got, err)
		}
		if err := sb.RemoveAll(ctx, dir+"/to"+name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
		if err := sb.Remove(ctx, dir); err != nil { // is empty
			t.Errorf("%q: %v", name, err)
		}
	}
	// Relative ones start at home.
	for _, name := range []string{"-p", "-rf", "=", "!", "("} {
		if err := errors.Join(sb.MkdirAll(ctx, name), sb.Rename(ctx, name, name), sb.Rename(ctx, name, "-T"), sb.Remove(ctx, "-T")); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestFileChangeErrors(t *testing.T) {
	t.Parallel()
	_, sb := lineSandbox(t)
	ctx := t.Context()
	home(t, sb)
	output(t, sb, "mkdir full empty dir; echo x > full/x; echo f > file; echo g > other; ln -s dir link; ln -s nowhere dangling; ln -s file tofile")
	for _, c := range []struct {
		name string
		err  error
		is   error
	}{
		{"remove nothing", sb.Remove(ctx, "none"), fs.ErrNotExist},
		{"remove nothing, in our terms", sb.Remove(ctx, "none"), sandboxclient.ErrNotFound},
		{"remove a full directory", sb.Remove(ctx, "full"), syscall.ENOTEMPTY},
		{"a directory below a file", sb.MkdirAll(ctx, "file/x"), syscall.ENOTDIR},
		{"a directory in place of a file", sb.MkdirAll(ctx, "file"), fs.ErrExist},
		{"rename nothing", sb.Rename(ctx, "none", "x"), fs.ErrNotExist},
		{"rename over a full directory", sb.Rename(ctx, "dir", "full"), syscall.ENOTEMPTY},
		{"rename a file over a directory", sb.Rename(ctx, "file", "empty"), syscall.EISDIR},
		{"rename into nowhere", sb.Rename(ctx, "file", "no/such/x"), fs.ErrNotExist},
		{"remove all of nothing", sb.RemoveAll(ctx, "none"), nil},
		{"make what is there", sb.MkdirAll(ctx, "dir"), nil},
		{"rename to itself", sb.Rename(ctx, "file", "file"), nil},
		{"rename over a file", sb.Rename(ctx, "other", "file"), nil},
		{"rename over an empty directory", sb.Rename(ctx, "full", "empty"), nil},
		{"rename over a link to a directory", sb.Rename(ctx, "file", "link"), nil},
		{"remove a dangling link", sb.Remove(ctx, "dangling"), nil},
		{"remove a link", sb.Remove(ctx, "tofile"), nil},
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
	if got := output(t, sb, "ls; cat link empty/x"); got != "dir\nempty\nlink\ng\nx\n" {
		t.Errorf("left is %q", got)
	}
}

// TestDownloadOverLostConnections: a real download goes on where it was.
func TestDownloadOverLostConnections(t *testing.T) {
	t.Parallel()
	lines, sb := lineSandbox(t)
	content := make([]byte, 8<<20)
	for i := range content {
		content[i] = byte(rand.IntN(256))
	}
	if err := sb.Upload(t.Context(), "big", bytes.NewReader(content)); err != nil {
		t.Fatal(err)
	}
	d := ok[*sandboxclient.Download](t)(sb.Download(t.Context(), "big", nil))
	var cuts atomic.Int32
	got, err := io.ReadAll(readerFunc(func(p []byte) (int, error) {
		n, err := d.Read(p[:min(len(p), 64<<10)])
		if rand.IntN(40) == 0 && cuts.Load() < 5 {
			cuts.Add(1)
			lines.cut()
		}
		return n, err
	}))
	if err := errors.Join(err, d.Close()); err != nil || !bytes.Equal(got, content) || cuts.Load() == 0 {
		t.Errorf("%d bytes, %d cuts, %v", len(got), cuts.Load(), err)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
