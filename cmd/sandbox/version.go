package main

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/langsandbox/sandbox-go/internal/transport"
)

// version is what this program is.
func version() string {
	return fmt.Sprintf("sandbox %s (%s, %s/%s)", transport.Version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		Example: "  sandbox version",
		Args:    wantArgs(0, 0),
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintln(a.out, version())
			return err
		},
	}
}
