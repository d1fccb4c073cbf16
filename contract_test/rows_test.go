package contract_test

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"sync/atomic"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

// fixture is what a row acts on. The names are of things that exist when the
// row is driven; a row may rename or delete them, so each gets its own.
type fixture struct {
	volume, template, pool, snapshot, registry, box string
	snapshotName, image, none                       string             // none is the name of nothing
	info                                            sandboxclient.Info // of the box
	prefix                                          string             // of fresh names

	got any // what the facade returned
}

// sandbox is a handle on the box. It sends nothing.
func (f *fixture) sandbox(c *sandboxclient.Client) *sandboxclient.Sandbox { return c.FromInfo(f.info) }

var freshNames atomic.Int64

// fresh is a name that nothing has.
func (f *fixture) fresh(kind string) string {
	return fmt.Sprintf("%s%s-%d", f.prefix, kind, freshNames.Add(1))
}

// contractRow drives one operation of the contract by a method of the facade.
type contractRow struct {
	op     string
	method string   // of the facade, and what is special about the row
	drive  driver   // returns the error of the facade
	also   []string // other operations that the method needs
}

type driver func(ctx context.Context, c *sandboxclient.Client, f *fixture) error

// contractRows are all rows. Each operation has at least one, with as little in
// its request as possible; together they have all that a request can hold.
var contractRows = slices.Concat(
	volumeRows, templateRows, poolRows, snapshotRows, registryRows, sandboxRows, lifecycleRows, dataplaneRows, fileRows, serviceRows,
)

// rawOnly are the operations that no method of the facade reaches.
var rawOnly = map[string]string{
	"checkSandboxAccess": "services ask before they let somebody in; users ask for the thing itself",

	"reportActivity":       "services report activity to the API, users do not",
	"startSandboxInternal": "services wake sandboxes by route name, users start them by name",
}

// keep notes what the facade returned.
func keep[T any](f *fixture, v T, err error) error {
	f.got = v
	return err
}

func keepInfo(f *fixture, sb *sandboxclient.Sandbox, err error) error {
	if err != nil {
		return err
	}
	return keep(f, sb.Info(), nil)
}

// keepAll notes the items of a list.
func keepAll[T any](f *fixture, list iter.Seq2[*T, error]) error {
	all := []*T{}
	for item, err := range list {
		if err != nil {
			return err
		}
		all = append(all, item)
	}
	return keep(f, all, nil)
}

func infos(list iter.Seq2[*sandboxclient.Sandbox, error]) iter.Seq2[*sandboxclient.Info, error] {
	return func(yield func(*sandboxclient.Info, error) bool) {
		for sb, err := range list {
			info, err := infoOf(sb, err)
			if !yield(&info, err) {
				return
			}
		}
	}
}
