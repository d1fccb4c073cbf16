package contract_test

import (
	"context"
	"errors"
	"io"
	"strings"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

var fileRows = []contractRow{
	{op: "upload", method: "Sandbox.WriteFile", drive: func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		return f.sandbox(c).WriteFile(ctx, "note.txt", []byte("hello"))
	}},
	{op: "upload", method: "Sandbox.WriteFile of nothing", drive: func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		return f.sandbox(c).WriteFile(ctx, "/tmp/a b+c%d&e=ü", nil)
	}},
	{op: "upload", method: "Sandbox.Upload", drive: func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		return f.sandbox(c).Upload(ctx, "note.txt", io.MultiReader(strings.NewReader("hel"), strings.NewReader("lo")))
	}},
	{op: "download", method: "Sandbox.ReadFile", drive: func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		v, err := f.sandbox(c).ReadFile(ctx, "note.txt")
		return keep(f, string(v), err)
	}},
	{op: "download", method: "Sandbox.Download", drive: download(nil)},
	{op: "download", method: "Sandbox.Download in full", drive: download(&sandboxclient.DownloadOptions{
		Range: sandboxclient.RangePart(0, 5), IfRange: `"v1"`, IfNoneMatch: `"v0"`,
	})},
	{op: "statFile", method: "Sandbox.Stat", drive: func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		_, err := f.sandbox(c).Stat(ctx, "note.txt")
		return err
	}},
	{op: "glob", method: "Sandbox.Glob", drive: func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		v, err := f.sandbox(c).Glob(ctx, "/", "*", nil)
		return keep(f, v, err)
	}},
	{op: "glob", method: "Sandbox.Glob in full", drive: func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		v, err := f.sandbox(c).Glob(ctx, "/", "**/*.go", &sandboxclient.GlobOptions{Limit: 2})
		return keep(f, v, err)
	}},
	{op: "glob", method: "Sandbox.ReadDir", drive: func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		_, err := f.sandbox(c).ReadDir(ctx, "/")
		return err
	}},
	{op: "glob", method: "Sandbox.FS", drive: func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		_, err := f.sandbox(c).FS(ctx, "/").ReadDir(".")
		return err
	}},
	{op: "grep", method: "Sandbox.Grep", drive: func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		v, err := f.sandbox(c).Grep(ctx, "/", "TODO", nil)
		return keep(f, v, err)
	}},
	{op: "grep", method: "Sandbox.Grep in full", drive: func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		v, err := f.sandbox(c).Grep(ctx, "/", "TODO", &sandboxclient.GrepOptions{Glob: "*.go", Limit: 2})
		return keep(f, v, err)
	}},
}

func download(opts *sandboxclient.DownloadOptions) driver {
	return func(ctx context.Context, c *sandboxclient.Client, f *fixture) error {
		r, err := f.sandbox(c).Download(ctx, "note.txt", opts)
		if err != nil {
			return err
		}
		v, err := io.ReadAll(r)
		return keep(f, string(v), errors.Join(err, r.Close()))
	}
}
