package sandboxserver

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/langsandbox/sandbox-go/gen"
	"github.com/langsandbox/sandbox-go/internal/runtime"
	"github.com/langsandbox/sandbox-go/internal/session"
)

// visit is the use of a sandbox by one request. As long as it lasts the
// sandbox is not idle.
type visit struct {
	sb  runtime.Sandbox
	run context.Context //nolint:containedctx // the sandbox's: ends when it stops

	commands *session.Store
}

// enterBox begins a visit; leave ends it. A sandbox of the second generation
// that is stopped is started for it, or waited for if that goes on.
func (e *engine) enterBox(ctx context.Context, name string) (v visit, leave func(), err error) {
	var b *box
	for {
		var starting *transition
		if err := e.look(func() error { //nolint:contextcheck // the sandbox outlives the request
			if b, err = e.boxes.find(name); err != nil {
				return err
			}
			if b.status != gen.StatusReady {
				starting, err = e.rouse(b)
				return err
			}
			v = visit{b.sb, b.run, b.commands}
			b.busy++
			b.active = time.Now()
			return nil
		}); err != nil {
			return v, nil, err
		}
		if starting == nil {
			break
		}
		if err := starting.wait(ctx); err != nil {
			return v, nil, rouseProblem(ctx, err)
		}
	}
	return v, func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		b.busy--
		b.active = time.Now()
	}, nil
}

// rouse starts a sandbox that is not ready, if a request may do that. mu is
// held.
func (e *engine) rouse(b *box) (*transition, error) {
	switch {
	case b.templateID != "" || b.sb == nil: // of the first generation, or never ready yet
	case b.status == gen.StatusStopped:
		return e.restart(b)
	case b.status == gen.StatusProvisioning:
		return b.last, nil
	}
	return nil, problem(http.StatusBadRequest, codeNotReady, "sandbox %q is %s", b.name, b.status)
}

// rouseProblem answers a request whose sandbox did not start.
func rouseProblem(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	own := asStartProblem(err)
	return &apiError{status: http.StatusServiceUnavailable, code: codeUnavailable, message: "the sandbox did not start: " + own.message, cause: err}
}

var errGone = &apiError{status: http.StatusBadRequest, code: codeNotReady, message: "the sandbox ended while the request ran"}

// serveDataplane answers for one sandbox.
func (s *Server) serveDataplane(w http.ResponseWriter, r *http.Request, name, op string) {
	handle, err := s.dataplane(w, r, op)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	v, leave, err := s.engine.enterBox(r.Context(), name)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	defer leave()
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(v.run, cancel)() //nolint:contextcheck // ends with either
	if err := handle(v, w, r.WithContext(ctx)); err != nil {
		if v.run.Err() != nil {
			err = errGone
		}
		s.fail(w, r, err)
	}
}

type dataplaneHandler func(visit, http.ResponseWriter, *http.Request) error

// dataplane checks a request before a sandbox is looked for.
func (s *Server) dataplane(w http.ResponseWriter, r *http.Request, op string) (dataplaneHandler, error) {
	if err := s.authorize(r, true); err != nil {
		return nil, err
	}
	switch op {
	case streamOperation:
		return s.stream, s.checkUpgrade(r)
	case tunnelOperation:
		return s.tunnel, s.checkUpgrade(r)
	}
	allowed, streamed := []string{http.MethodPost}, true
	var handle dataplaneHandler
	switch op {
	case "execute":
		handle, streamed = s.execute, false
	case "glob":
		handle, streamed = s.glob, false
	case "grep":
		handle, streamed = s.grep, false
	case "upload":
		handle = s.upload
	case "download":
		handle, allowed = s.download, []string{http.MethodGet, http.MethodHead}
	}
	if !slices.Contains(allowed, r.Method) {
		return nil, notAllowed(r.Method, allowed...)
	}
	if streamed {
		return handle, s.dataplaneOps[op].validate(r, true)
	}
	return handle, s.dataplaneOps[op].check(w, r)
}

// streamOperation is the path of the command stream, which the contract
// describes by its frames only.
const streamOperation = "execute/ws"

// dataplaneOperations are the operations of the contract's data plane.
func dataplaneOperations(c *contract) map[string]operation {
	return map[string]operation{
		"execute":  c.operation(http.MethodPost, "/execute"),
		"upload":   c.operation(http.MethodPost, "/upload"),
		"download": c.operation(http.MethodGet, "/download"),
		"glob":     c.operation(http.MethodPost, "/glob"),
		"grep":     c.operation(http.MethodPost, "/grep"),
	}
}
