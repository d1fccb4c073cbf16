package sandboxclient_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"testing/fstest"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

// The last bytes of a file, without the rest of it.
func ExampleSandbox_Download() {
	inSandbox(func(ctx context.Context, sb *sandboxclient.Sandbox) error {
		if err := sb.WriteFile(ctx, "/app/log", []byte("much\nmore\ndone\n")); err != nil {
			return err
		}
		d, err := sb.Download(ctx, "/app/log", &sandboxclient.DownloadOptions{Range: sandboxclient.RangeLast(5)})
		if err != nil {
			return err
		}
		defer d.Close()
		end, err := io.ReadAll(d)
		fmt.Printf("%s%d of %d bytes", end, len(end), d.Info().Size())
		return err
	})
	// Output:
	// done
	// 5 of 15 bytes
}

// A directory of a sandbox, for all that takes an fs.FS.
func ExampleSandbox_FS() {
	inSandbox(func(ctx context.Context, sb *sandboxclient.Sandbox) error {
		for _, name := range []string{"/app/main.go", "/app/doc/index.md"} {
			if err := sb.WriteFile(ctx, name, []byte(name)); err != nil {
				return err
			}
		}
		return fs.WalkDir(sb.FS(ctx, "/app"), ".", func(path string, d fs.DirEntry, err error) error {
			fmt.Println(path, d.IsDir())
			return err
		})
	})
	// Output:
	// . true
	// doc true
	// doc/index.md false
	// main.go false
}

func ExampleSandbox_Grep() {
	inSandbox(func(ctx context.Context, sb *sandboxclient.Sandbox) error {
		if err := sb.WriteFile(ctx, "/app/main.go", []byte("package main\n\n// TODO: all of it\n")); err != nil {
			return err
		}
		found, err := sb.Grep(ctx, "/app", "TODO", &sandboxclient.GrepOptions{Glob: "*.go"})
		if err != nil {
			return err
		}
		for _, m := range found.Matches {
			fmt.Printf("%s:%d: %s\n", m.Path, m.Line, m.Text)
		}
		return nil
	})
	// Output: /app/main.go:3: // TODO: all of it
}

// A tree goes in, and what a command made of it comes out.
func ExampleSandbox_CopyFS() {
	inSandbox(func(ctx context.Context, sb *sandboxclient.Sandbox) (err error) {
		tree := fstest.MapFS{
			"words":        {Mode: fs.ModeDir | 0o755},
			"words/a.txt":  {Data: []byte("pear\nfig\n"), Mode: 0o644},
			"words/b.tmp":  {Data: []byte("left out"), Mode: 0o644},
			"words/run.sh": {Data: []byte("sort a.txt > sorted; ls\n"), Mode: 0o755},
		}
		if err := sb.CopyFS(ctx, "work", tree, &sandboxclient.CopyOptions{Exclude: []string{"*.tmp"}}); err != nil {
			return err
		}
		cmd := sb.Command("./run.sh")
		cmd.Dir, cmd.Stdout = "work/words", os.Stdout
		if err := cmd.Run(ctx); err != nil {
			return err
		}
		dir, err := os.MkdirTemp("", "")
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
		root, err := os.OpenRoot(dir)
		if err != nil {
			return err
		}
		defer root.Close()
		if err := sb.CopyTo(ctx, root, "work/words", &sandboxclient.CopyOptions{Include: []string{"sorted"}}); err != nil {
			return err
		}
		sorted, err := root.ReadFile("sorted")
		fmt.Printf("%s", sorted)
		return err
	})
	// Output:
	// a.txt
	// run.sh
	// sorted
	// fig
	// pear
}
