package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

// noun is a kind of thing that a server has, for the commands that are alike
// for all kinds.
type noun[T any] struct {
	one, many string
	columns   []column[T]
	nameOf    func(*T) string
	refOf     func(*T) string // what completes an argument, if that is no name; may be nil
	ref       string          // what it is called in usage lines; NAME if empty
	refHelp   string          // what ref stands for
	ids       string          // what nameOf is; names if empty
	list      func(ctx context.Context, c *sandboxclient.Client) iter.Seq2[*T, error]
	get       func(ctx context.Context, c *sandboxclient.Client, name string) (*T, error)
	remove    func(ctx context.Context, c *sandboxclient.Client, name string) error
	removed   func(a *app, c *sandboxclient.Client, name string) // what else is to be forgotten; may be nil
	prefix    string                                             // of the commands' examples, such as "sandbox template"
}

// argument is what stands for one in a usage line.
func (n noun[T]) argument() string { return cmp.Or(n.ref, "NAME") }

// names is what it has: names, if it has no ids in their place.
func (n noun[T]) names() string { return cmp.Or(n.ids, "names") }

// withClient calls f with a client of what the environment names.
func (a *app) withClient(f func(c *sandboxclient.Client) error) (err error) {
	c, err := a.connectRemote()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	return f(c)
}

func lsCommand[T any](a *app, n noun[T]) *cobra.Command {
	var p printer
	cmd := &cobra.Command{
		Use:     "ls [flags]",
		Aliases: []string{"list"},
		Short:   "List " + n.many,
		Example: fmt.Sprintf("  %s ls\n  %s ls --output json", n.prefix, n.prefix),
		Args:    wantArgs(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := p.check(); err != nil {
				return err
			}
			return a.withClient(func(c *sandboxclient.Client) error {
				var list []*T
				for one, err := range n.list(cmd.Context(), c) {
					if err != nil {
						return err
					}
					list = append(list, one)
				}
				return printAll(a, p, n, list)
			})
		},
	}
	p.flags(cmd, formTable, n.names())
	return cmd
}

func getCommand[T any](a *app, n noun[T]) *cobra.Command {
	var p printer
	cmd := &cobra.Command{
		Use:               "get [flags] " + n.argument(),
		Short:             "Show a " + n.one,
		Long:              "Show a " + n.one + "." + n.refHelp,
		Example:           fmt.Sprintf("  %s get my-%s", n.prefix, n.one),
		Args:              wantArgs(1, 1),
		ValidArgsFunction: completeNames(a, n, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := p.check(); err != nil {
				return err
			}
			return a.withClient(func(c *sandboxclient.Client) error {
				one, err := n.get(cmd.Context(), c, args[0])
				if err != nil {
					return err
				}
				return printOne(a, p, n, one)
			})
		},
	}
	p.flags(cmd, formJSON, n.names())
	return cmd
}

func rmCommand[T any](a *app, n noun[T]) *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:               "rm [flags] " + n.argument() + "...",
		Aliases:           []string{"delete"},
		Short:             "Delete " + n.many,
		Long:              "Delete " + n.many + ". One that cannot be deleted does not keep the others; the exit code is 125 then." + n.refHelp,
		Example:           fmt.Sprintf("  %s rm my-%s\n  %s rm --force one two", n.prefix, n.one, n.prefix),
		Args:              wantArgs(1, -1),
		ValidArgsFunction: completeNames(a, n, 0),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withClient(func(c *sandboxclient.Client) error {
				var failures []error
				for _, name := range args {
					if cmd.Context().Err() != nil {
						break
					}
					stop := a.spin("deleting " + name)
					err := n.remove(cmd.Context(), c, name)
					stop()
					gone := errors.Is(err, sandboxclient.ErrNotFound)
					if n.removed != nil && (err == nil || gone) {
						n.removed(a, c, name)
					}
					if force && gone {
						continue
					}
					failures = append(failures, err)
				}
				return errors.Join(failures...)
			})
		},
	}
	cmd.Flags().BoolVarP(&force, "force", "f", false, "do not mind those that do not exist")
	return cmd
}

// nounCommand is the parent of the commands of a kind.
func nounCommand[T any](a *app, n noun[T], more ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use:     n.one,
		Aliases: []string{n.many},
		Short:   "Manage " + n.many,
		Example: fmt.Sprintf("  %s ls", n.prefix),
		Args:    wantCommands,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(append(more, lsCommand(a, n), getCommand(a, n), rmCommand(a, n))...)
	return cmd
}

// changes wants one of the flags that say what is to change.
func changes(cmd *cobra.Command, _ []string) error {
	var flags []string
	changed := false
	cmd.LocalNonPersistentFlags().VisitAll(func(flag *pflag.Flag) {
		if flag.Name != "help" {
			flags = append(flags, "--"+flag.Name)
		}
		changed = changed || flag.Changed
	})
	if changed {
		return nil
	}
	return fmt.Errorf("nothing to change: want %s", orOf(flags))
}

// printed runs f and prints what it made.
func printed[T any](a *app, p *printer, n noun[T], f func(c *sandboxclient.Client) (*T, error)) error {
	if err := p.check(); err != nil {
		return err
	}
	return a.withClient(func(c *sandboxclient.Client) error {
		one, err := f(c)
		if err != nil {
			return err
		}
		return printOne(a, *p, n, one)
	})
}
