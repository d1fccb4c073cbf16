package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

func (a *app) catCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "cat NAME:PATH...",
		Short:             "Print files of sandboxes",
		Example:           "  sandbox cat my-sandbox:report.txt",
		Args:              wantArgs(1, -1),
		ValidArgsFunction: a.completePlaces(0, false),
		RunE: func(cmd *cobra.Command, args []string) error {
			bar := a.newBar(isTerminal(a.out))
			defer bar.clear()
			return a.withFiles(cmd.Context(), args, func(sb *sandboxclient.Sandbox, path string) (err error) {
				file, err := sb.Download(cmd.Context(), path, nil)
				if err != nil {
					return err
				}
				defer func() { err = errors.Join(err, file.Close()) }()
				_, err = io.Copy(a.out, bar.reader(path, file.Info().Size(), file))
				return err
			})
		},
	}
}

func (a *app) writeCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "write NAME:PATH",
		Short: "Write standard input to a file of a sandbox",
		Long: `Write standard input to a file of a sandbox, which is made or replaced. Until the
end of the input it stays as it is.`,
		Example:           "  date | sandbox write my-sandbox:today.txt",
		Args:              wantArgs(1, 1),
		ValidArgsFunction: a.completePlaces(1, false),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withFiles(cmd.Context(), args, func(sb *sandboxclient.Sandbox, path string) error {
				bar := a.newBar(isTerminal(a.in))
				defer bar.clear()
				return sb.Upload(cmd.Context(), path, bar.reader(path, -1, a.input(cmd.Context())))
			})
		},
	}
}

// withFiles calls f for files that are named as NAME:PATH.
func (a *app) withFiles(ctx context.Context, args []string, f func(sb *sandboxclient.Sandbox, path string) error) error {
	for _, arg := range args {
		if name, path, ok := strings.Cut(arg, ":"); !ok || name == "" || path == "" {
			return fmt.Errorf("%q: want NAME:PATH, such as my-sandbox:report.txt", arg)
		}
	}
	return a.withClient(func(c *sandboxclient.Client) error {
		for _, arg := range args {
			name, path, _ := strings.Cut(arg, ":")
			sb, err := c.Get(ctx, name)
			if err != nil {
				return err
			}
			if err := f(sb, path); err != nil {
				return err
			}
		}
		return nil
	})
}
