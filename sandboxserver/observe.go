package sandboxserver

import (
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"time"
)

// response remembers whether an answer has begun, and its status.
type response struct {
	http.ResponseWriter
	status int
}

func (w *response) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *response) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(b)
}

// Unwrap is for http.ResponseController.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// observe is deferred around a request: it turns a panic into an answer and
// logs what became of the request.
func (s *Server) observe(w *response, r *http.Request, start time.Time) {
	if p := recover(); p != nil {
		s.recovered(w, r, p)
	}
	s.cfg.Logger.LogAttrs(r.Context(), slog.LevelDebug, "request",
		slog.String("method", r.Method), slog.String("path", loggedPath(r)),
		slog.Int("status", w.status), slog.Duration("duration", time.Since(start)))
	if s.cfg.Observe != nil {
		s.cfg.Observe(s.observation(w, r, start))
	}
}

// loggedPath is the path of a request, but for the tokens that are part of
// some.
func loggedPath(r *http.Request) string {
	if strings.HasPrefix(r.URL.Path, linkPrefix) {
		return linkPrefix + "..."
	}
	return r.URL.Path
}

func (s *Server) recovered(w *response, r *http.Request, p any) {
	if p == http.ErrAbortHandler { //nolint:errorlint // the very value
		panic(p)
	}
	s.cfg.Logger.ErrorContext(r.Context(), "panic", "path", loggedPath(r), "panic", p, "stack", string(debug.Stack()))
	if w.status != 0 {
		panic(http.ErrAbortHandler) // half an answer must not look like a whole one
	}
	s.fail(w, r, internalError("internal error", fmt.Errorf("panic: %v", p)))
}
