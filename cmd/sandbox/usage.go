package main

import (
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

// resource is a line of what is in use.
type resource struct{ name, used, limit string }

var resources = noun[resource]{
	one: "resource", many: "resources", prefix: "sandbox usage",
	nameOf: func(r *resource) string { return strings.TrimSpace(r.name) },
	columns: []column[resource]{
		{"RESOURCE", func(r *resource) string { return r.name }},
		{"USED", func(r *resource) string { return r.used }},
		{"LIMIT", func(r *resource) string { return r.limit }},
	},
}

func (a *app) usageCommand() *cobra.Command {
	var p printer
	cmd := &cobra.Command{
		Use:     "usage [flags]",
		Short:   "Show what is in use of the quotas",
		Example: "  sandbox usage\n  sandbox usage --output json",
		Args:    wantArgs(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := p.check(); err != nil {
				return err
			}
			return a.withClient(func(c *sandboxclient.Client) error {
				u, err := c.Usage.Get(cmd.Context())
				if err != nil {
					return err
				}
				if p.form == formJSON {
					return printJSON(a.out, u)
				}
				return printAll(a, p, resources, resourcesOf(u))
			})
		},
	}
	p.flags(cmd, formTable, "names of resources")
	return cmd
}

func resourcesOf(u *sandboxclient.Usage) []*resource {
	return []*resource{
		{"sandboxes", strconv.Itoa(u.SandboxesUsed), limit(strconv.Itoa(u.SandboxesLimit))},
		{"  running", strconv.Itoa(u.SandboxRunningCount), ""},
		{"  stopped", strconv.Itoa(u.SandboxStoppedCount), ""},
		{"  pooled", strconv.Itoa(u.SandboxPoolReplicasCount), ""},
		{"cpu", strconv.Itoa(u.CPUUsedMillicores) + "m", limit(strconv.Itoa(u.CPULimitMillicores) + "m")},
		{"memory", orZero(amountOf(u.MemoryUsedBytes)), amountOf(u.MemoryLimitBytes)},
		{"volumes", strconv.Itoa(u.VolumesUsed), limit(strconv.Itoa(u.VolumesLimit))},
		{"storage", orZero(amountOf(u.StorageUsedBytes)), amountOf(u.StorageLimitBytes)},
		{"templates", strconv.Itoa(u.TemplatesCount), ""},
		{"pools", strconv.Itoa(u.PoolsCount), ""},
		{"registries", strconv.Itoa(u.RegistriesCount), ""},
		{"snapshots", strconv.Itoa(u.SnapshotsCount), ""},
	}
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
