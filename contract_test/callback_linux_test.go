package contract_test

import (
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os/exec"
	"strings"
	"testing"

	"github.com/langsandbox/sandbox-go/internal/runtime"
	"github.com/langsandbox/sandbox-go/sandboxauth"
	"github.com/langsandbox/sandbox-go/sandboxclient"
	"github.com/langsandbox/sandbox-go/sandboxserver"
)

// TestCallbackSignature: an endpoint that a sandbox's proxy asks for headers
// can tell by the keys of the API that the server asks, for which sandbox, and
// that nobody changed the question.
func TestCallbackSignature(t *testing.T) {
	t.Parallel()
	if report := runtime.Probe(t.TempDir(), ""); report.Isolation != runtime.IsolationNative {
		t.Skipf("sandboxes have the host's network: %v", report.Reason)
	}
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("no client on this host: ", err)
	}
	type question struct {
		signature string
		body      []byte
	}
	asked := make(chan question, 1)
	endpoint := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		asked <- question{r.Header.Get(sandboxauth.CallbackHeader), body}
		fmt.Fprint(w, `{"headers":{"X-Team":"blue"}}`)
	}))
	t.Cleanup(endpoint.Close)
	site := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%t", r.Header.Get("X-Team") == "blue")
	}))
	t.Cleanup(site.Close)
	roots := x509.NewCertPool()
	roots.AddCert(site.Certificate())
	s := startServer(t, "/v2/sandboxes", sandboxserver.Config{Egress: sandboxserver.Egress{
		Allow:   []string{site.Listener.Addr().String(), endpoint.Listener.Addr().String()},
		Private: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}, RootCAs: roots,
	}})

	address := endpoint.URL + "/ask?for=headers"
	callback := sandboxclient.Callback(address, 60, "127.0.0.1")
	// What only the server may say, it says.
	callback.RequestHeaders = []sandboxclient.ProxyHeader{{Name: sandboxauth.CallbackHeader, Type: "plaintext", Value: "forged"}}
	box := ok[*sandboxclient.Sandbox](t)(s.c.Create(t.Context(), &sandboxclient.CreateSandbox{ProxyConfig: sandboxclient.ProxyConfig{
		Callbacks:     []sandboxclient.ProxyCallback{callback},
		AccessControl: sandboxclient.AccessControl{AllowList: []string{site.Listener.Addr().String()}},
	}}))
	if got := prints(t, box, "curl -sS -m 20 --noproxy '' "+site.URL); got != "true" {
		t.Fatalf("the header did not come: %q", got)
	}

	keys := httptest.NewServer(s.server)
	t.Cleanup(keys.Close)
	verifier, err := sandboxauth.NewVerifier(&sandboxauth.Config{Endpoint: keys.URL})
	if err != nil {
		t.Fatal(err)
	}
	q := <-asked
	call, err := verifier.Callback(t.Context(), q.signature, address, q.body)
	if err != nil {
		t.Fatalf("%q: %v", q.signature, err)
	}
	if call.Identity.SandboxID != box.Info().ID || !strings.HasSuffix(site.URL, fmt.Sprintf("//%s:%d", call.Host, call.Port)) || call.Request != nil {
		t.Errorf("%+v", call)
	}
	if _, err := verifier.Callback(t.Context(), q.signature, endpoint.URL, q.body); err == nil {
		t.Error("it is good for another address")
	}
	if _, err := verifier.User(t.Context(), q.signature, address); err == nil {
		t.Error("it is good for a user")
	}
}
