package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
)

// wantArgs wants at least and at most so many arguments; -1 is any number.
func wantArgs(least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < least:
			_, words, _ := strings.Cut(cmd.Use, " ")
			return fmt.Errorf("want %s: see %s --help", strings.TrimPrefix(words, "[flags] "), cmd.CommandPath())
		case most >= 0 && len(args) > most:
			return fmt.Errorf("unexpected argument %q: see %s --help", args[most], cmd.CommandPath())
		}
		return nil
	}
}

// wantCommands wants nothing but the name of a command, which cobra has taken.
func wantCommands(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if cmd.SuggestionsMinimumDistance <= 0 {
		cmd.SuggestionsMinimumDistance = 2
	}
	meant := ""
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		meant = "did you mean " + orOf(near) + "? "
	}
	return fmt.Errorf("unknown command %q: %s%s --help lists all", args[0], meant, cmd.CommandPath())
}

// wantFlagsFirst refuses what was meant as a flag of this program and would be
// a word of the command.
func wantFlagsFirst(cmd *cobra.Command, words []string) error {
	if strings.HasPrefix(words[0], "-") && words[0] != "--" {
		return fmt.Errorf("%s is behind the sandbox's name, and the command begins there: flags go before the name, and -- before a command that begins with a dash: see %s --help",
			strconv.Quote(words[0]), cmd.CommandPath())
	}
	return nil
}
