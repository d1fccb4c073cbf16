package main

import (
	"fmt"
	"strconv"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

func (a *app) usageCommand() *cobra.Command {
	var form string
	cmd := &cobra.Command{
		Use:     "usage [flags]",
		Short:   "Show what is in use of the quotas",
		Example: "  sandbox usage",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			p := printer{form: form}
			if err := p.check(); err != nil {
				return err
			}
			return a.withClient(func(c *sandboxclient.Client) error {
				u, err := c.Usage.Get(cmd.Context())
				if err != nil {
					return err
				}
				if form == formJSON {
					return printJSON(a.out, u)
				}
				return a.printUsage(u)
			})
		},
	}
	cmd.Flags().StringVarP(&form, "output", "o", formTable, "form of the output: table or json")
	return cmd
}

func (a *app) printUsage(u *sandboxclient.Usage) error {
	w := tabwriter.NewWriter(a.out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "RESOURCE\tUSED\tLIMIT")
	for _, row := range [][3]string{
		{"sandboxes", strconv.Itoa(u.SandboxesUsed), limit(strconv.Itoa(u.SandboxesLimit))},
		{"  running", strconv.Itoa(u.SandboxRunningCount)},
		{"  stopped", strconv.Itoa(u.SandboxStoppedCount)},
		{"  in pools", strconv.Itoa(u.SandboxPoolReplicasCount)},
		{"cpu", strconv.Itoa(u.CPUUsedMillicores) + "m", limit(strconv.Itoa(u.CPULimitMillicores) + "m")},
		{"memory", orZero(amountOf(u.MemoryUsedBytes)), amountOf(u.MemoryLimitBytes)},
		{"volumes", strconv.Itoa(u.VolumesUsed), limit(strconv.Itoa(u.VolumesLimit))},
		{"storage", orZero(amountOf(u.StorageUsedBytes)), amountOf(u.StorageLimitBytes)},
		{"templates", strconv.Itoa(u.TemplatesCount)},
		{"pools", strconv.Itoa(u.PoolsCount)},
		{"registries", strconv.Itoa(u.RegistriesCount)},
		{"snapshots", strconv.Itoa(u.SnapshotsCount)},
	} {
		fmt.Fprintf(w, "%s\t%s\t%s\n", row[0], row[1], orDash(row[2]))
	}
	return w.Flush()
}

// limit is none where it is 0.
func limit(s string) string {
	if s == "0" || s == "0m" {
		return ""
	}
	return s
}

func orZero(s string) string {
	if s == "" {
		return "0"
	}
	return s
}
