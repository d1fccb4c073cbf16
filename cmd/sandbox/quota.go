package main

import (
	"strconv"

	"github.com/spf13/pflag"

	"github.com/langsandbox/sandbox-go/internal/quantity"
	"github.com/langsandbox/sandbox-go/sandboxserver"
)

// quotaFlags are the limits of a server, as flags.
func quotaFlags(flags *pflag.FlagSet, l *sandboxserver.Limits) {
	flags.IntVar(&l.Sandboxes, "quota-sandboxes", 0, "how many sandboxes there may be, pooled and stopped ones included; 0 is no limit")
	flags.Var(amount{&l.CPUMillicores, quantity.ParseMillicores}, "quota-cpu", "CPU of all running sandboxes, such as 4 or 500m")
	flags.Var(amount{&l.MemoryBytes, quantity.ParseBytes}, "quota-memory", "memory of all running sandboxes, such as 8Gi")
	flags.IntVar(&l.Volumes, "quota-volumes", 0, "how many volumes there may be")
	flags.Var(amount{&l.StorageBytes, quantity.ParseBytes}, "quota-storage", "sizes of all volumes, such as 100Gi")
}

// amount is a flag with a unit.
type amount struct {
	to    *int64
	parse func(string) (int64, error)
}

func (a amount) Set(s string) (err error) {
	n, err := a.parse(s)
	if err == nil {
		*a.to = n
	}
	return err
}

func (a amount) String() string {
	if a.to == nil || *a.to == 0 {
		return ""
	}
	const gibi = 1 << 30
	if *a.to%gibi == 0 {
		return strconv.FormatInt(*a.to/gibi, 10) + "Gi"
	}
	return strconv.FormatInt(*a.to, 10)
}

func (amount) Type() string { return "quantity" }
