package sandboxauth

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	// UserTokenHeader carries the token for [Verifier.User].
	UserTokenHeader = "X-Langsmith-User-Token"
	// CallbackHeader carries the signature for [Verifier.Callback].
	CallbackHeader = "X-LangSmith-Signature-JWT"

	callbackSubject = "langsmith-sandbox-callback"
	leeway          = 30 * time.Second
)

var (
	// ErrToken is a token that proves nothing: malformed, not signed by a key
	// of the API, expired, for somebody else or for something else. The text
	// says which, and repeats nothing of it.
	ErrToken = errors.New("token refused")
	// ErrKeys is a token that could not be checked, because the keys could
	// not be had. The same token may pass later.
	ErrKeys = errors.New("keys of the API are not available")
)

// Config says where keys come from. It is not retained.
type Config struct {
	// Endpoint is an address of the API, of which only the origin counts; keys
	// are at /.well-known/jwks.json. Empty is the hosted service. It must be
	// https, but for this machine.
	Endpoint string
	// UserIssuer is the LangSmith app whose users are let in, such as
	// https://smith.langchain.com, and CallbackIssuer who callbacks must be
	// signed by. Empty takes what any key of the API has signed.
	UserIssuer, CallbackIssuer string
	// HTTPClient fetches the keys; nil is one with a transport like the
	// default. It is copied; redirects are not followed.
	HTTPClient *http.Client
	// AllowPlaintext lets keys come over http from other machines. Whoever is
	// on the way can then make tokens.
	AllowPlaintext bool
}

// Verifier checks tokens. It is safe for concurrent use, needs no closing, and
// keeps no goroutine but while somebody waits for keys.
type Verifier struct {
	userIssuer, callbackIssuer string
	keys                       *keySet
}

// NewVerifier returns a verifier; cfg may be nil. It fetches nothing.
func NewVerifier(cfg *Config) (*Verifier, error) {
	if cfg == nil {
		cfg = &Config{}
	}
	keys, err := newKeySet(cfg)
	if err != nil {
		return nil, fmt.Errorf("sandboxauth: %w", err)
	}
	return &Verifier{strings.TrimRight(cfg.UserIssuer, "/"), strings.TrimRight(cfg.CallbackIssuer, "/"), keys}, nil
}

// User is somebody who logged in to a service.
type User struct {
	ID       string // at LangSmith
	Email    string // may be empty
	Name     string // may be empty
	Issuer   string
	IssuedAt time.Time
	Expires  time.Time
}

// User checks the token of a request to a service that is shared by login.
// audience is the host of the service, or the address by which people open it;
// take it from the configuration, as the Host header of a request is the
// sender's to choose. Errors: [ErrToken], [ErrKeys], the context's.
func (v *Verifier) User(ctx context.Context, token, audience string) (*User, error) {
	if u, err := url.Parse(audience); err == nil && u.Host != "" {
		audience = u.Host
	}
	c, err := v.check(ctx, token, audience, v.userIssuer, userAlgorithms)
	if err != nil {
		return nil, err
	}
	if c.subject == callbackSubject {
		return nil, refused("it is the signature of a callback")
	}
	return &User{
		ID: c.subject, Email: c.text("email"), Name: c.text("name"), Issuer: c.issuer, IssuedAt: c.issued, Expires: c.expires,
	}, nil
}

// Callback is what the proxy of a sandbox asks an endpoint for: the headers of
// a request that something in the sandbox makes.
type Callback struct {
	Host     string           `json:"host"`
	Port     int              `json:"port"`
	Identity Identity         `json:"identity"`
	Request  *CallbackRequest `json:"request,omitempty"` // nil unless the configuration asks for it
}

// Identity is the sandbox that a callback is about.
type Identity struct {
	TenantID       string `json:"tenant_id"`
	SandboxID      string `json:"sandbox_id"`
	OrganizationID string `json:"organization_id,omitempty"`
	LSUserID       string `json:"ls_user_id,omitempty"`
}

// CallbackRequest is the request that the headers are for.
type CallbackRequest struct {
	Method        string              `json:"method"`
	URL           string              `json:"url"`
	Scheme        string              `json:"scheme"`
	Host          string              `json:"host"`
	Path          string              `json:"path"`
	Query         string              `json:"query,omitempty"`
	Headers       map[string][]string `json:"headers"`
	Body          []byte              `json:"body_base64"`
	BodyTruncated bool                `json:"body_truncated"`
}

// Callback checks the signature of a call from the proxy of a sandbox, and
// returns what it asks. callbackURL is the address in the proxy configuration,
// letter by letter, and body is what was received, byte by byte; the caller
// bounds it. Errors: [ErrToken], [ErrKeys], the context's.
func (v *Verifier) Callback(ctx context.Context, signature, callbackURL string, body []byte) (*Callback, error) {
	c, err := v.check(ctx, signature, callbackURL, v.callbackIssuer, callbackAlgorithms)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(body)
	given, err := hex.DecodeString(c.text("body_sha256"))
	switch {
	case c.subject != callbackSubject:
		return nil, refused("it is not the signature of a callback")
	case err != nil || subtle.ConstantTimeCompare(given, sum[:]) != 1:
		return nil, refused("it is the signature of another body")
	}
	call := new(Callback)
	if err := json.Unmarshal(body, call); err != nil || call.Host == "" || call.Identity.TenantID == "" || call.Identity.SandboxID == "" {
		return nil, refused("what it signs is no call")
	}
	return call, nil
}

// check returns what a token says, if it is signed and for audience.
func (v *Verifier) check(ctx context.Context, token, audience, issuer string, allowed map[string]bool) (*claims, error) {
	if audience == "" {
		return nil, refused("the audience it must be for is empty")
	}
	t, err := parse(token)
	if err != nil {
		return nil, err
	}
	if !allowed[t.algorithm] {
		return nil, refused("its algorithm is not one that is used for this")
	}
	k, err := v.keys.find(ctx, t.key)
	if err != nil {
		return nil, err
	}
	if !k.verify(t) {
		return nil, refused("the signature is not that of its key")
	}
	c, err := t.claims()
	if err != nil {
		return nil, err
	}
	return c, c.check(time.Now(), audience, issuer)
}

func refused(reason string) error { return fmt.Errorf("%w: %s", ErrToken, reason) }
