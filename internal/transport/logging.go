package transport

import (
	"log/slog"
	"net/http"
	"net/url"
	"time"
)

// logging writes one debug record an attempt. Headers, bodies and queries may
// hold secrets and are left out.
func logging(next Doer, log *slog.Logger) Doer {
	return DoerFunc(func(req *http.Request) (*http.Response, error) {
		ctx := req.Context()
		if !log.Enabled(ctx, slog.LevelDebug) {
			return next.Do(req)
		}
		start := time.Now()
		resp, err := next.Do(req)
		attrs := []slog.Attr{
			slog.String("method", req.Method),
			slog.String("url", Redact(req.URL)),
			slog.Duration("took", time.Since(start)),
		}
		if err != nil {
			attrs = append(attrs, slog.String("error", err.Error()))
		} else {
			attrs = append(attrs, slog.Int("status", resp.StatusCode))
		}
		log.LogAttrs(ctx, slog.LevelDebug, "sandbox request", attrs...)
		return resp, err
	})
}

// Redact returns u without user, query and fragment.
func Redact(u *url.URL) string {
	r := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}
	return r.String()
}
