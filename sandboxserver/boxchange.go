package sandboxserver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/langsandbox/sandbox-go/gen"
)

func (e *engine) updateBox(ctx context.Context, name string, req gen.SandboxUpdate) (view gen.Sandbox, err error) {
	var rerouted func(context.Context) error
	if err := e.do(func() error {
		b, err := e.boxes.find(name)
		if err != nil {
			return err
		}
		// Everything is checked before anything is changed.
		proxy := b.proxy
		if given(req.ProxyConfig) {
			if proxy, err = storedProxy(req.ProxyConfig, b.proxy); err != nil {
				return err
			}
			if err := e.checkProxy(proxy); err != nil {
				return err
			}
		}
		if err := checkName(req.Name); err != nil {
			return err
		}
		size, counted, err := e.resizedBox(b, req)
		if err != nil {
			return err
		}
		if err := cmp.Or(checkRuns(req.RunConfig), e.checkUser(req.RunConfig.User)); err != nil {
			return err
		}
		if err := e.boxes.rename(b, req.Name); err != nil {
			return err
		}
		b.proxy, b.sizes, b.amounts = proxy, size, counted
		b.apply(req)
		e.boxes.changed(b)
		e.arm(b)
		rerouted = e.reroute(b)
		view = e.boxView(b)
		return nil
	}); err != nil {
		return view, err
	}
	return view, rerouted(ctx)
}

// apply enters what a change says of timers and traits.
func (b *box) apply(req gen.SandboxUpdate) {
	setTimers(
		timer{&b.ttl, req.TTLSeconds}, timer{&b.idle, req.IdleTTLSeconds}, timer{&b.afterStop, req.DeleteAfterStopSeconds},
	)
	b.traits.runs = layered(b.traits.runs, req.RunConfig)
	if req.TagValueIDs != nil {
		b.traits.tags = req.TagValueIDs
	}
}

// timer is one of a sandbox, and what a request says of it; nil is nothing.
type timer struct{ into, asked *int }

func setTimers(timers ...timer) {
	for _, t := range timers {
		if t.asked != nil {
			*t.into = *t.asked
		}
	}
}

// resizedBox works out the new sizes of a sandbox and whether they fit. mu is
// held.
func (e *engine) resizedBox(b *box, req gen.SandboxUpdate) (sizes, amounts, error) {
	s, a := b.sizes, b.amounts
	if err := checkCPU(req.VCPUs, req.CPUMillicores); err != nil {
		return s, a, err
	}
	if req.MemBytes > maxMemory {
		return s, a, invalid(fmt.Sprintf("mem_bytes must be at most %d", int64(maxMemory)), "mem_bytes")
	}
	if req.VCPUs > 0 || req.CPUMillicores > 0 {
		s.vcpus, s.millicores = cmp.Or(req.VCPUs, s.vcpus), req.CPUMillicores
		a.cpu = s.cpu()
	}
	if req.MemBytes > 0 {
		s.memory, a.memory = req.MemBytes, req.MemBytes
	}
	if req.FSCapacityBytes > 0 {
		s.disk = req.FSCapacityBytes
	}
	if !b.up() {
		return s, a, nil
	}
	more := amounts{cpu: max(a.cpu-b.amounts.cpu, 0), memory: max(a.memory-b.amounts.memory, 0)}
	if more == (amounts{}) {
		return s, a, nil
	}
	return s, a, e.used().amountQuota(e.cfg.Limits, more.cpu, more.memory)
}

// startBox begins to start a stopped or failed sandbox.
func (e *engine) startBox(name string) (view gen.Sandbox, err error) {
	return view, e.do(func() error {
		b, err := e.boxes.find(name)
		if err != nil {
			return err
		}
		if _, err := e.restart(b); err != nil {
			return err
		}
		view = e.boxView(b)
		return nil
	})
}

// restart starts a stopped or failed sandbox again. mu is held.
func (e *engine) restart(b *box) (*transition, error) {
	if b.status != gen.StatusStopped && b.status != gen.StatusFailed {
		return nil, problem(400, codeInvalidRequest, "sandbox %q is %s: only a stopped or failed one can be started", b.name, b.status)
	}
	if err := e.used().amountQuota(e.cfg.Limits, b.amounts.cpu, b.amounts.memory); err != nil {
		return nil, err
	}
	if b.files != "" && b.files != e.rt.Isolation() {
		return nil, problem(400, codeInvalidRequest, "sandbox %q cannot be started: %s", b.name, e.otherFiles(b))
	}
	e.boxes.changed(b)
	return e.start(b, e.cfg.StartTimeout), nil
}

// stopBox stops a ready sandbox and waits until its processes are gone.
func (e *engine) stopBox(ctx context.Context, name string) error {
	var b *box
	var stopped *transition
	if err := e.look(func() (err error) {
		if b, err = e.boxes.find(name); err != nil {
			return err
		}
		if b.status != gen.StatusReady {
			return problem(400, codeInvalidRequest, "sandbox %q is %s: only a ready one can be stopped", b.name, b.status)
		}
		e.boxes.changed(b)
		stopped = e.stop(b)
		return nil
	}); err != nil {
		return err
	}
	if err := stopped.wait(ctx); err != nil {
		return err
	}
	return e.saveBox(b)
}

// findRoute finds a sandbox by name or id, or by the name a router gives it.
// mu is held.
func (e *engine) findRoute(name string) (*box, error) {
	b, err := e.boxes.find(name)
	if err == nil {
		return b, nil
	}
	if b := e.boxes.byID[strings.TrimPrefix(name, "sb-")]; b != nil {
		return b, nil
	}
	return nil, err
}

// wakeBox starts a sandbox if need be and waits until it is ready.
func (e *engine) wakeBox(ctx context.Context, name string) (view gen.Sandbox, err error) {
	var b *box
	var starting *transition
	if err := e.look(func() error { //nolint:contextcheck // the sandbox outlives the request
		if b, err = e.findRoute(name); err != nil {
			return err
		}
		switch b.status {
		case gen.StatusReady, gen.StatusProvisioning:
			starting = b.last
			return nil
		default:
			starting, err = e.restart(b)
			return err
		}
	}); err != nil {
		return view, err
	}
	if starting != nil {
		if err := starting.wait(ctx); err != nil {
			return view, wakeProblem(ctx, err)
		}
	}
	return view, e.look(func() error { view = e.boxView(b); return nil })
}

// wakeProblem turns a failed start into the 400 that this operation has for it.
func wakeProblem(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return problem(400, codeInvalidRequest, "%s", asStartProblem(err).message)
}

func asStartProblem(err error) *apiError {
	if own, ok := errors.AsType[*apiError](err); ok {
		return own
	}
	return startProblem(err)
}

// touch enters activity that others saw, and says for which sandboxes that
// matters.
func (e *engine) touch(req gen.ActivityReport) (out gen.ActivityResults, err error) {
	return out, e.look(func() error {
		out.Results = make([]gen.ActivityResult, len(req.Activities))
		for i, a := range req.Activities {
			out.Results[i].K8SSandboxName = a.K8SSandboxName
			b, err := e.findRoute(a.K8SSandboxName)
			if err != nil || b.status != gen.StatusReady {
				continue
			}
			b.active = time.Now()
			out.Results[i].TrackActivity = b.idle > 0
		}
		return nil
	})
}
