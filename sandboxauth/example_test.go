package sandboxauth_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/langsandbox/sandbox-go/sandboxauth"
)

// A service that people log in to greets them by name.
func ExampleVerifier_User() {
	const host = "5e2f7f0a-0000-4000-8000-000000000001--3000.smithbox.dev" // from the configuration
	verifier, err := sandboxauth.NewVerifier(nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		user, err := verifier.User(r.Context(), r.Header.Get(sandboxauth.UserTokenHeader), host)
		switch {
		case errors.Is(err, sandboxauth.ErrToken):
			http.Error(w, "log in first", http.StatusUnauthorized)
		case err != nil:
			http.Error(w, "try again", http.StatusServiceUnavailable)
		default:
			fmt.Fprintf(w, "Hello %s\n", user.Name)
		}
	})
}

// A callback of a proxy configuration hands out headers to the sandboxes of
// one workspace.
func ExampleVerifier_Callback() {
	const own = "https://hooks.example.com/headers" // as in the proxy configuration
	verifier, err := sandboxauth.NewVerifier(nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	http.HandleFunc("/headers", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
		if err != nil {
			http.Error(w, "too much", http.StatusRequestEntityTooLarge)
			return
		}
		call, err := verifier.Callback(r.Context(), r.Header.Get(sandboxauth.CallbackHeader), own, body)
		if err != nil || call.Identity.TenantID != "my-workspace" {
			http.Error(w, "not for you", http.StatusForbidden)
			return
		}
		fmt.Fprintf(w, `{"headers": {"Authorization": "Bearer for %s"}}`, call.Host)
	})
}
