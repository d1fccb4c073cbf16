//go:build interop

package interop

import (
	"bufio"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/langsandbox/sandbox-go/internal/imagetest"
	"github.com/langsandbox/sandbox-go/internal/runtime"
	"github.com/langsandbox/sandbox-go/sandboxclient"
	"github.com/langsandbox/sandbox-go/sandboxserver"
	"github.com/langsandbox/sandbox-go/sandboxtest"
)

// A machine is what all programs talk to.
type machine struct {
	address string // of sandbox serve
	key     string
	images  []string // variables that tell of the server with images
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	m := new(machine)
	m.address, m.key = serve(t)
	m.images = append(serveImages(t, m.key), serveFull(t, m.key)...)
	return m
}

// environment tells one program where everything is. What it resets or fills is
// its own.
func (m *machine) environment(t *testing.T) []string {
	t.Helper()
	proxy := newProxy(t, m.address)
	return append(slices.Clone(m.images),
		"INTEROP_ENDPOINT=http://"+proxy.address()+"/v2/sandboxes",
		"INTEROP_SMALL_ENDPOINT="+serveSmall(t, m.key),
		"INTEROP_API_KEY="+m.key,
		"INTEROP_DROP="+proxy.control(t),
		"LANGSMITH_TRACING=false", "LANGSMITH_ENDPOINT=", "LANGSMITH_API_KEY=",
		"HTTP_PROXY=", "HTTPS_PROXY=", "ALL_PROXY=", "http_proxy=", "https_proxy=", "all_proxy=",
	)
}

// serve builds and starts sandbox serve, and returns its address and key.
func serve(t *testing.T) (address, key string) {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "sandbox")
	build := command(t, "../..", nil, []string{"go", "build", "-o", binary, "./cmd/sandbox"}, 5*time.Minute)
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	cmd := exec.Command(binary, "serve", "--min-isolation", "process") //nolint:noctx // interrupted below
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		err := errors.Join(cmd.Process.Signal(os.Interrupt), cmd.Wait())
		if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
			t.Error(err)
		}
	})
	lines := bufio.NewScanner(stdout)
	for (address == "" || key == "") && lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), "=")
		switch name {
		case "LANGSMITH_ENDPOINT":
			address = strings.TrimPrefix(value, "http://")
		case "LANGSMITH_API_KEY":
			key = value
		}
	}
	if address == "" || key == "" {
		t.Fatal("sandbox serve did not say where it is")
	}
	return address, key
}

// serveSmall starts a server that has room for one sandbox.
func serveSmall(t *testing.T, key string) string {
	t.Helper()
	_, server := sandboxtest.New(t, sandboxtest.WithConfig(func(c *sandboxserver.Config) {
		c.APIKey, c.Limits.Sandboxes = key, 1
	}))
	return server.Endpoint
}

// serveImages starts a server that pulls images and lets sandboxes reach two
// sites of this machine, with a registry that has the image app for robot, and
// returns what programs have to know. It is nothing, and cases that need it are
// not run, where sandboxes cannot have images and a network of their own.
func serveImages(t *testing.T, key string) []string {
	t.Helper()
	if _, err := runtime.ImageOwner(); err != nil {
		fmt.Fprintf(os.Stderr, "\n!!! INTEROP: CASES WITH IMAGES AND PROXY RULES ARE NOT RUN: %v\n", err)
		return []string{"INTEROP_IMAGES_ENDPOINT=", "INTEROP_REGISTRY=", "INTEROP_SITE=", "INTEROP_SECURE_SITE="}
	}
	shelf := imagetest.NewRegistry(t)
	reference := shelf.Push(t, "app", v1.Config{Env: []string{"FROM=image"}},
		append(imagetest.Programs(t, "sh", "cat"), imagetest.File("etc/made-of", "layers")))
	shelf.Push(t, "broken", v1.Config{WorkingDir: "/file/below"}, []imagetest.Entry{imagetest.File("file", "no directory")})
	shelf.Lock("robot", "pass-word")
	host, _, _ := strings.Cut(reference, "/")

	plain, secure := newSites(t)
	roots := x509.NewCertPool()
	roots.AddCert(secure.Certificate())
	_, server := sandboxtest.New(t, sandboxtest.WithConfig(func(c *sandboxserver.Config) {
		c.APIKey, c.PullImages = key, true
		c.Egress = sandboxserver.Egress{
			Allow:   []string{strings.TrimPrefix(plain.URL, "http://"), strings.TrimPrefix(secure.URL, "https://")},
			Private: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")},
			RootCAs: roots,
		}
	}))
	return []string{
		"INTEROP_IMAGES_ENDPOINT=" + server.Endpoint, "INTEROP_REGISTRY=" + host,
		"INTEROP_SITE=" + plain.URL, "INTEROP_SECURE_SITE=" + secure.URL,
	}
}

// serveFull starts a server whose store an image in use fills, so that there is
// no room for the one that it names.
// It is nothing where serveImages is.
func serveFull(t *testing.T, key string) []string {
	t.Helper()
	if _, err := runtime.ImageOwner(); err != nil {
		return []string{"INTEROP_FULL_ENDPOINT=", "INTEROP_FULL_IMAGE="}
	}
	const room = 16 << 20
	shelf := imagetest.NewRegistry(t)
	half := imagetest.File("half", strings.Repeat("half", room/4*5/8))
	first := shelf.Push(t, "first", v1.Config{}, []imagetest.Entry{half})
	second := shelf.Push(t, "second", v1.Config{}, []imagetest.Entry{half, imagetest.File("other", "")})
	client, server := sandboxtest.New(t, sandboxtest.WithConfig(func(c *sandboxserver.Config) {
		c.APIKey, c.PullImages, c.ImageCacheBytes = key, true, room
	}))
	request := sandboxclient.CreateTemplate{Name: "first", Image: first}
	if _, err := client.Templates.Create(t.Context(), &request); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Create(t.Context(), &sandboxclient.CreateSandbox{TemplateName: "first"}); err != nil {
		t.Fatal(err)
	}
	return []string{"INTEROP_FULL_ENDPOINT=" + server.Endpoint, "INTEROP_FULL_IMAGE=" + second}
}

// newSites starts two sites that say which headers came to them. The plain one
// has callbacks, too.
func newSites(t *testing.T) (plain, secure *httptest.Server) {
	t.Helper()
	answer := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		secret := "False"
		if r.Header.Get("Authorization") == "Bearer hunter2-hunter2" {
			secret = "True"
		}
		fmt.Fprintf(w, "team=%s secret=%s", r.Header.Get("X-Team"), secret)
	})
	plain, secure = httptest.NewServer(withCallbacks(answer)), httptest.NewTLSServer(answer)
	t.Cleanup(plain.Close)
	t.Cleanup(secure.Close)
	return plain, secure
}

// withCallbacks answers callbacks of proxies at /callback/ and any name. A GET
// there tells what the last one was asked, and by which signature.
func withCallbacks(other http.Handler) http.Handler {
	var asked sync.Map
	mux := http.NewServeMux()
	mux.Handle("/", other)
	mux.HandleFunc("POST /callback/{name}", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // who asked is gone
		}
		asked.Store(r.PathValue("name"), map[string]string{"body": string(body), "signature": r.Header.Get("X-Langsmith-Signature-Jwt")})
		fmt.Fprint(w, `{"headers":{"Authorization":"Bearer hunter2-hunter2"}}`)
	})
	mux.HandleFunc("GET /callback/{name}", func(w http.ResponseWriter, r *http.Request) {
		last, _ := asked.Load(r.PathValue("name"))
		if err := json.NewEncoder(w).Encode(last); err != nil {
			panic(http.ErrAbortHandler)
		}
	})
	return mux
}
