package main

import (
	"context"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

// completionTime is how long a shell waits for names.
const completionTime = 2 * time.Second

// argument completes one kind of argument, from a server that there is.
type argument func(ctx context.Context, c *sandboxclient.Client) iter.Seq2[cobra.Completion, error]

// namesOf completes the names of a kind of things.
func namesOf[T any](n noun[T]) argument {
	return func(ctx context.Context, c *sandboxclient.Client) iter.Seq2[cobra.Completion, error] {
		return func(yield func(cobra.Completion, error) bool) {
			for one, err := range n.list(ctx, c) {
				if err != nil {
					yield("", err)
					return
				}
				if name := n.completed(one); name != "" && !yield(name, nil) {
					return
				}
			}
		}
	}
}

// completed is how a thing is named in a command line.
func (n noun[T]) completed(one *T) string {
	if n.refOf != nil {
		return n.refOf(one)
	}
	return n.nameOf(one)
}

// completeNames offers the names of what there is, for the first most
// arguments; 0 is all.
func completeNames[T any](a *app, n noun[T], most int) cobra.CompletionFunc {
	return a.complete(namesOf(n), most)
}

// complete offers arguments that are not given yet, for the first most; 0 is
// all. Where there is no server it offers nothing.
func (a *app) complete(what argument, most int) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if most > 0 && len(args) >= most {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return a.known(cmd.Context(), what, args), cobra.ShellCompDirectiveNoFileComp
	}
}

// known asks a server, but not for long.
func (a *app) known(ctx context.Context, what argument, given []string) (names []cobra.Completion) {
	ctx, cancel := context.WithTimeout(ctx, completionTime)
	defer cancel()
	_ = a.withClient(func(c *sandboxclient.Client) error {
		for name, err := range what(ctx, c) {
			if err != nil {
				return err
			}
			if !slices.Contains(given, name) {
				names = append(names, name)
			}
		}
		return nil
	})
	return names
}

// completePlaces offers sandboxes as the beginning of NAME:PATH, for the first
// most arguments; 0 is all. Where files of this machine may stand as well, the
// shell completes those when there is no sandbox of that name.
func (a *app) completePlaces(most int, local bool) cobra.CompletionFunc {
	names := completeNames(a, sandboxes, 0)
	return func(cmd *cobra.Command, args []string, prefix string) ([]cobra.Completion, cobra.ShellCompDirective) {
		directive := cobra.ShellCompDirectiveNoFileComp
		if local {
			directive = cobra.ShellCompDirectiveDefault
		}
		if most > 0 && len(args) >= most {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		if strings.ContainsAny(prefix, ":/") {
			return nil, directive
		}
		found, _ := names(cmd, nil, prefix)
		var places []cobra.Completion
		for _, name := range found {
			if strings.HasPrefix(name, prefix) {
				places = append(places, name+":")
			}
		}
		if len(places) > 0 {
			directive |= cobra.ShellCompDirectiveNoSpace
		}
		return places, directive
	}
}

// completeFlag offers values for a flag.
func completeFlag(cmd *cobra.Command, flag string, f cobra.CompletionFunc) {
	must(cmd.RegisterFlagCompletionFunc(flag, func(cmd *cobra.Command, _ []string, prefix string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return f(cmd, nil, prefix)
	}))
}

// oneOf offers a flag's words.
func oneOf(words ...string) cobra.CompletionFunc {
	return cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp)
}

// must is for what only a mistake in this program can make fail.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

// localFiles leaves completion to the shell, which knows files.
func localFiles(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveDefault
}

// localDirectories is localFiles for directories.
func localDirectories(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveFilterDirs
}
