package sandboxserver

import (
	"context"
	"net/http"
	"time"

	"github.com/langsandbox/sandbox-go/gen"
	"github.com/langsandbox/sandbox-go/internal/runtime"
	"github.com/langsandbox/sandbox-go/internal/session"
)

// visit is the use of a sandbox by one request. As long as it lasts the
// sandbox is not idle.
type visit struct {
	sb  runtime.Sandbox
	run context.Context // ends when the sandbox stops

	commands *session.Store
}

// enterBox begins a visit; leave ends it.
func (e *engine) enterBox(name string) (v visit, leave func(), err error) {
	var b *box
	if err := e.look(func() error {
		if b, err = e.boxes.find(name); err != nil {
			return err
		}
		if b.status != gen.StatusReady {
			return problem(http.StatusBadRequest, codeNotReady, "sandbox %q is %s", b.name, b.status)
		}
		v = visit{b.sb, b.run, b.commands}
		b.busy++
		b.active = time.Now()
		return nil
	}); err != nil {
		return v, nil, err
	}
	return v, func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		b.busy--
		b.active = time.Now()
	}, nil
}

var errGone = &apiError{status: http.StatusBadRequest, code: codeNotReady, message: "the sandbox ended while the request ran"}

// serveDataplane answers for one sandbox.
func (s *Server) serveDataplane(w http.ResponseWriter, r *http.Request, name, op string) {
	handle, err := s.dataplane(w, r, op)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	v, leave, err := s.engine.enterBox(name)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	defer leave()
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(v.run, cancel)()
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
	isGet := r.Method == http.MethodGet || r.Method == http.MethodHead
	switch {
	case op == "download" && isGet:
		return s.download, s.contract.operation(http.MethodGet, "/download").validate(r, true)
	case op == "download":
		return nil, notAllowed(r.Method, http.MethodGet, http.MethodHead)
	case op == "execute/ws":
		return s.stream, checkUpgrade(r, s.knowsHost)
	case r.Method != http.MethodPost:
		return nil, notAllowed(r.Method, http.MethodPost)
	case op == "upload":
		return s.upload, s.contract.operation(http.MethodPost, "/upload").validate(r, true)
	}
	return s.execute, s.contract.operation(http.MethodPost, "/execute").check(w, r)
}
