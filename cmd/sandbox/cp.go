package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

const cpHelp = `Copy a file or a tree into a sandbox or out of it. One of the two is in a
sandbox, as NAME:PATH, the other one on this machine; a local path with a colon
is told from that by ./ in front. A path in the sandbox without a slash in front
starts at its home directory, which NAME: alone is.

A file becomes the file that is named, or one of its own name in a directory
that is, or that ends in a slash. A directory becomes the directory that is
named, which is made if it is missing: what is in it is put there, over files of
the same name, and nothing else is touched. Trees keep permissions, times and
symbolic links; of what comes out of a sandbox, links that lead out of the tree
and special files are left out, and told of. A file keeps its permissions on the
way in.

- is standard input or standard output.`

type cpFlags struct {
	include, exclude []string
	quiet            bool
}

func (a *app) cpCommand() *cobra.Command {
	var f cpFlags
	cmd := &cobra.Command{
		Use:   "cp [flags] {NAME:PATH PATH|PATH NAME:PATH}",
		Short: "Copy files into a sandbox or out of it",
		Long:  cpHelp,
		Example: `  sandbox cp report.csv box-1:/work/
  sandbox cp --exclude .git --exclude node_modules . box-1:/work/project
  sandbox cp box-1:/work/result result
  tar -c src | sandbox cp - box-1:src.tar
  sandbox cp box-1:/var/log/app.log - | tail`,
		Args:              wantArgs(2, 2),
		ValidArgsFunction: a.completePlaces(2, true),
		RunE:              func(cmd *cobra.Command, args []string) error { return a.cp(cmd.Context(), f, args[0], args[1]) },
	}
	flags := cmd.Flags()
	flags.StringArrayVar(&f.include, "include", nil, "copy only what matches, such as *.go or src/**; may be repeated")
	flags.StringArrayVar(&f.exclude, "exclude", nil, "leave out what matches; may be repeated")
	flags.BoolVarP(&f.quiet, "quiet", "q", false, "show no progress, which is shown on a terminal only")
	return cmd
}

// place is one end of a copy.
type place struct {
	sandbox string // empty is this machine
	path    string
}

// parsePlace tells NAME:PATH from a local path.
func parsePlace(text string) place {
	name, rest, found := strings.Cut(text, ":")
	drive := runtime.GOOS == "windows" && len(name) == 1
	if !found || name == "" || strings.ContainsAny(name, `/\`) || drive {
		return place{path: text}
	}
	return place{sandbox: name, path: cmp.Or(rest, ".")}
}

// inside is a path for a file that may be a directory to put it in.
func inside(to string, isDir bool, name string) string {
	if isDir || strings.HasSuffix(to, "/") {
		return path.Join(to, name)
	}
	return to
}

// copying is one copy.
type copying struct {
	*app
	flags cpFlags
	sb    *sandboxclient.Sandbox
	bar   *bar
}

func (a *app) cp(ctx context.Context, f cpFlags, src, dst string) (err error) {
	from, to := parsePlace(src), parsePlace(dst)
	if (from.sandbox == "") == (to.sandbox == "") {
		return errors.New("one of the two must be in a sandbox, as NAME:PATH, and the other one on this machine")
	}
	if from.path == "" || to.path == "" {
		return errors.New("a path is missing: want a local path and NAME:PATH, such as box-1:/work")
	}
	var source fs.FileInfo
	if from.sandbox == "" && from.path != "-" {
		if source, err = os.Stat(from.path); err != nil {
			return err
		}
	}
	client, err := a.connectRemote()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	sb, err := client.Get(ctx, from.sandbox+to.sandbox)
	if err != nil {
		return err
	}
	c := &copying{app: a, flags: f, sb: sb, bar: a.newBar(f.quiet)}
	defer c.bar.clear()
	if from.sandbox != "" {
		err = c.out(ctx, from.path, to.path)
	} else {
		err = c.in(ctx, source, from.path, to.path)
	}
	return err
}

// in copies into the sandbox.
func (c *copying) in(ctx context.Context, source fs.FileInfo, from, to string) error {
	if source != nil && source.IsDir() {
		opts := c.options()
		return c.sb.CopyFS(ctx, to, os.DirFS(from), &opts)
	}
	if err := c.noPatterns(); err != nil {
		return err
	}
	if from == "-" {
		return c.sb.Upload(ctx, to, c.app.newBar(c.flags.quiet || isTerminal(c.app.in)).reader(to, -1, c.input(ctx)))
	}
	to, replaces, err := c.target(ctx, to, filepath.Base(from))
	if err != nil {
		return err
	}
	f, err := os.Open(from) //nolint:gosec // what the user named
	if err != nil {
		return err
	}
	defer f.Close()
	if !source.Mode().IsRegular() {
		return c.sb.Upload(ctx, to, c.bar.reader(to, -1, f))
	}
	if err := c.sb.Upload(ctx, to, sized{c.bar.reader(to, source.Size(), f), source.Size()}); err != nil {
		return err
	}
	if mode := source.Mode().Perm(); replaces || mode != 0o644 {
		return c.chmod(ctx, to, mode)
	}
	return nil
}

// target is the path in the sandbox of a file that is copied to another path,
// and whether there is one already.
func (c *copying) target(ctx context.Context, to, name string) (file string, replaces bool, err error) {
	exists, isDir, err := c.look(ctx, to)
	if file = inside(to, isDir, name); err == nil && file != to {
		exists, _, err = c.look(ctx, file)
	}
	return file, exists, err
}

// look looks whether there is a file or a directory in the sandbox.
func (c *copying) look(ctx context.Context, name string) (exists, isDir bool, err error) {
	info, err := c.sb.Stat(ctx, name)
	switch {
	case err == nil:
		return true, info.IsDir(), nil
	case errors.Is(err, fs.ErrNotExist):
		return false, false, nil
	case !path.IsAbs(name) && errors.Is(err, sandboxclient.ErrOperation):
		return true, true, nil // of a relative path nobody says more
	}
	return false, false, err
}

// chmod gives an uploaded file its permissions, which no route does.
func (c *copying) chmod(ctx context.Context, name string, mode fs.FileMode) error {
	cmd := c.sb.Command("chmod", fmt.Sprintf("%04o", mode), "--", name)
	cmd.ShellPath = "/bin/sh"
	if err := cmd.Run(ctx); err != nil {
		return fmt.Errorf("the file is copied, but not its permissions: chmod %s: %w", name, err)
	}
	return nil
}

// sized is a reader of known size.
type sized struct {
	io.Reader
	size int64
}

// Len has the size announced.
func (s sized) Len() int { return int(s.size) }

// out copies out of the sandbox.
func (c *copying) out(ctx context.Context, from, to string) error {
	if to == "-" {
		return c.print(ctx, from)
	}
	_, isDir, err := c.look(ctx, from)
	switch {
	case err != nil:
		return err
	case isDir:
		return c.treeOut(ctx, from, to)
	}
	if err := c.noPatterns(); err != nil {
		return err
	}
	local, err := os.Stat(to)
	return c.fileOut(ctx, from, inside(to, err == nil && local.IsDir(), path.Base(from)))
}

func (c *copying) treeOut(ctx context.Context, from, to string) error {
	if err := os.MkdirAll(to, 0o755); err != nil { //nolint:gosec // as mkdir does, less the umask
		return err
	}
	root, err := os.OpenRoot(to)
	if err != nil {
		return err
	}
	defer root.Close()
	opts := c.options()
	return c.sb.CopyTo(ctx, root, from, &opts)
}

// print writes a file to standard output.
func (c *copying) print(ctx context.Context, from string) error {
	d, err := c.sb.Download(ctx, from, nil)
	if err != nil {
		return err
	}
	_, err = io.Copy(c.app.out, c.app.newBar(c.flags.quiet || isTerminal(c.app.out)).reader(from, d.Info().Size(), d))
	return errors.Join(err, d.Close())
}

// fileOut writes a file, which has its name once it is whole. One that it
// replaces keeps its permissions, and the links that lead to it.
func (c *copying) fileOut(ctx context.Context, from, to string) (err error) {
	d, err := c.sb.Download(ctx, from, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	old, statErr := os.Stat(to)
	if statErr == nil {
		if !old.Mode().IsRegular() {
			return c.into(to, d, from)
		}
		if to, err = filepath.EvalSymlinks(to); err != nil {
			return err
		}
	}
	part := filepath.Join(filepath.Dir(to), "."+filepath.Base(to)+"."+rand.Text()[:8]+".part")
	f, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666) //nolint:gosec // as cp does, less the umask
	if err != nil {
		return err
	}
	if old != nil {
		err = f.Chmod(old.Mode().Perm())
	}
	if err == nil {
		_, err = io.Copy(f, c.bar.reader(from, d.Info().Size(), d))
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(part, to)
	}
	if err != nil {
		return errors.Join(err, os.Remove(part))
	}
	return nil
}

// into writes to what is there and no file, such as a device.
func (c *copying) into(to string, d *sandboxclient.Download, from string) error {
	f, err := os.OpenFile(to, os.O_WRONLY, 0) //nolint:gosec // what the user named
	if err != nil {
		return err
	}
	_, err = io.Copy(f, c.bar.reader(from, d.Info().Size(), d))
	return errors.Join(err, f.Close())
}

func (c *copying) options() sandboxclient.CopyOptions {
	return sandboxclient.CopyOptions{Include: c.flags.include, Exclude: c.flags.exclude, Progress: c.bar.files}
}

func (c *copying) noPatterns() error {
	if len(c.flags.include)+len(c.flags.exclude) > 0 {
		return errors.New("--include and --exclude are for directories")
	}
	return nil
}
