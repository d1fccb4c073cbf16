package sandboxserver

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strings"
)

// authorize lets requests with the key pass. serviceKey says whether the
// operation takes it as X-Service-Key too.
func (s *Server) authorize(r *http.Request, serviceKey bool) error {
	given := r.Header.Get("X-Api-Key")
	if s.isKey(given) {
		return nil
	}
	if token, ok := bearer(r); ok && s.isKey(token) {
		if r.Header.Get("X-Tenant-Id") == "" && r.Header.Get("X-Organization-Id") == "" {
			return problem(http.StatusUnauthorized, codeUnauthorized, "a bearer token needs an X-Tenant-Id or X-Organization-Id header")
		}
		return nil
	}
	if serviceKey && s.isKey(r.Header.Get("X-Service-Key")) {
		return nil
	}
	if given == "" {
		return problem(http.StatusUnauthorized, codeUnauthorized, "the API key is missing: send it as X-Api-Key")
	}
	return problem(http.StatusUnauthorized, codeUnauthorized, "the API key is wrong")
}

func bearer(r *http.Request) (string, bool) {
	scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	return strings.TrimSpace(token), ok && strings.EqualFold(scheme, "Bearer")
}

// isKey compares hashes, so that neither content nor length shows in the time
// it takes.
func (s *Server) isKey(given string) bool {
	a, b := sha256.Sum256([]byte(given)), sha256.Sum256([]byte(s.cfg.APIKey))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1
}
