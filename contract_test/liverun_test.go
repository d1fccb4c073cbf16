package contract_test

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

// liveRun drives rows against an endpoint where other people's things are, too.
type liveRun struct {
	c          *sandboxclient.Client
	chk        *checker
	guard      *liveGuard
	prefix     string // of the names of all that it makes
	generation int

	// For rows that leave them as they are.
	shared         *sandboxclient.Sandbox
	sharedSnapshot fixture
}

// liveOutcome is what came of a row.
type liveOutcome struct {
	row         string
	unsupported bool // the endpoint says that it does not offer this
	err         error
}

// newLiveRun prepares a run. It sends nothing.
func newLiveRun(chk *checker, generation int, opts ...sandboxclient.Option) (*liveRun, error) {
	var random [2]byte
	_, _ = rand.Read(random[:]) // never fails
	r := &liveRun{
		chk: chk, guard: &liveGuard{next: chk, chk: chk}, generation: generation,
		prefix: fmt.Sprintf("lsct-%08x-%s-", time.Now().Unix(), hex.EncodeToString(random[:])),
	}
	r.sharedSnapshot.prefix = r.prefix
	var err error
	r.c, err = sandboxclient.New(append(opts, sandboxclient.WithHTTPClient(&http.Client{Transport: r.guard}))...)
	return r, err
}

// leftOver is how old the things of another run are that it has surely left.
const leftOver = 2 * time.Hour

// drive drives the rows and returns what came of them. It stops when the
// context ends. However it ends, what it made is deleted; an error says what is
// left. What runs before it left is deleted first.
func (r *liveRun) drive(ctx context.Context, rows []contractRow) (outcomes []liveOutcome, err error) {
	defer func() { err = errors.Join(err, r.sweep(ctx, r.mine)) }()
	if err := r.sweep(ctx, abandoned); err != nil {
		return nil, fmt.Errorf("things of earlier runs: %w", err)
	}
	for _, row := range rows {
		if ctx.Err() != nil {
			return outcomes, fmt.Errorf("stopped before %s: %w", rowName(row), context.Cause(ctx))
		}
		outcome := liveOutcome{row: rowName(row), err: r.one(ctx, row)}
		outcome.unsupported = errors.Is(outcome.err, sandboxclient.ErrUnsupported)
		outcomes = append(outcomes, outcome)
	}
	return outcomes, nil
}

// one drives a row, and holds what was said on the way to the contract.
func (r *liveRun) one(ctx context.Context, row contractRow) (err error) {
	before := r.guard.made()
	defer func() { r.tidy(ctx, before) }()
	f, err := r.fixture(ctx, row)
	if err != nil {
		return fmt.Errorf("what the row acts on: %w", err)
	}
	err = row.drive(ctx, r.c, f)
	for _, problem := range r.chk.takeProblems() {
		err = errors.Join(err, errors.New(problem))
	}
	return err
}

// mine reports whether a name is of something that this run has made.
func (r *liveRun) mine(name string) bool { return strings.HasPrefix(name, r.prefix) }

// abandoned reports whether a name is of something that an earlier run has
// left.
func abandoned(name string) bool {
	var seconds int64
	if !liveName.MatchString(name) {
		return false
	}
	_, err := fmt.Sscanf(name, "lsct-%08x-", &seconds)
	return err == nil && time.Since(time.Unix(seconds, 0)) > leftOver
}

// own are the operations whose rows need a sandbox of their own, since they
// change it.
var own = []string{
	"updateSandbox", "deleteSandbox", "batchDeleteSandboxes", "stopSandbox", "startSandbox",
	"createServiceURL", "listServiceURLs", "deleteServiceURLs",
}

// fixture makes what a row acts on.
func (r *liveRun) fixture(ctx context.Context, row contractRow) (*fixture, error) {
	f := &fixture{prefix: r.prefix, none: r.prefix + "none", image: "python:3.12-slim"}
	path := operations(r.chk.doc)[row.op].Path
	switch {
	case row.op == "createPool":
		return f, r.template(ctx, f)
	case strings.HasPrefix(path, "/volumes/"):
		f.volume = f.fresh("volume")
		request := &sandboxclient.CreateVolume{Name: f.volume, SizeBytes: 1 << 30}
		if r.generation == 1 {
			request = &sandboxclient.CreateVolume{Name: f.volume, Size: "1Gi"}
		}
		_, err := r.c.Volumes.Create(ctx, request)
		return f, err
	case strings.HasPrefix(path, "/registries/"):
		f.registry = f.fresh("registry")
		_, err := r.c.Registries.Create(ctx, &sandboxclient.CreateRegistry{Name: f.registry, URL: "ghcr.io"})
		return f, err
	case strings.HasPrefix(path, "/templates/"):
		return f, r.template(ctx, f)
	case strings.HasPrefix(path, "/pools/"):
		f.pool = f.fresh("pool")
		if err := r.template(ctx, f); err != nil {
			return f, err
		}
		_, err := r.c.Pools.Create(ctx, &sandboxclient.CreatePool{Name: f.pool, TemplateName: f.template, Replicas: 1})
		return f, err
	case row.op == "deleteSnapshot":
		return f, r.snapshot(ctx, f)
	case strings.HasPrefix(path, "/snapshots/"), row.op == "getSnapshotTags":
		if r.sharedSnapshot.snapshot == "" {
			if err := r.snapshot(ctx, &r.sharedSnapshot); err != nil {
				return f, err
			}
		}
		f.snapshot, f.snapshotName = r.sharedSnapshot.snapshot, r.sharedSnapshot.snapshotName
	case row.op != "createSandbox" && row.op != "listSandboxes":
		return f, r.box(ctx, f, row)
	}
	return f, nil
}

func (r *liveRun) template(ctx context.Context, f *fixture) error {
	f.template = f.fresh("template")
	_, err := r.c.Templates.Create(ctx, &sandboxclient.CreateTemplate{Name: f.template, Image: f.image})
	return err
}

// snapshot makes one of the shared sandbox, which is quicker than of an image.
func (r *liveRun) snapshot(ctx context.Context, f *fixture) error {
	sb, err := r.sharedBox(ctx)
	if err != nil {
		return err
	}
	f.snapshotName = f.fresh("snapshot")
	snapshot, err := sb.Capture(ctx, &sandboxclient.CaptureSnapshot{Name: f.snapshotName}, nil)
	if err == nil {
		f.snapshot = snapshot.ID
		r.guard.allowID(snapshot.ID)
	}
	return err
}

func (r *liveRun) box(ctx context.Context, f *fixture, row contractRow) error {
	if !slices.Contains(own, row.op) {
		sb, err := r.sharedBox(ctx)
		if err == nil {
			f.box, f.info = sb.Name(), sb.Info()
		}
		return err
	}
	f.box = f.fresh("box")
	sb, err := r.create(ctx, f.box)
	if err != nil {
		return err
	}
	f.info = sb.Info()
	if row.op == "startSandbox" {
		return sb.Stop(ctx)
	}
	return nil
}

// sharedBox is made when it is needed first.
func (r *liveRun) sharedBox(ctx context.Context) (*sandboxclient.Sandbox, error) {
	if r.shared != nil {
		return r.shared, nil
	}
	sb, err := r.create(ctx, r.prefix+sharedName)
	if err != nil {
		return nil, err
	}
	if err := sb.WriteFile(ctx, "note.txt", []byte("hello")); err != nil {
		return nil, err
	}
	r.shared = sb
	return sb, nil
}

const sharedName = "shared"

// create makes a sandbox that ends by itself, should this process be killed.
func (r *liveRun) create(ctx context.Context, name string) (*sandboxclient.Sandbox, error) {
	request := &sandboxclient.CreateSandbox{Name: name, IdleTTLSeconds: new(600), DeleteAfterStopSeconds: new(600)}
	if r.generation == 1 {
		template := &fixture{prefix: r.prefix, image: "python:3.12-slim"}
		if err := r.template(ctx, template); err != nil {
			return nil, err
		}
		request = &sandboxclient.CreateSandbox{Name: name, TemplateName: template.template, TTLSeconds: new(3600)}
	}
	sb, err := r.c.Create(ctx, request)
	if err == nil {
		r.guard.allow(sb.Info().DataplaneURL)
	}
	return sb, err
}
