package sandboxserver

import (
	"cmp"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strings"
	"time"
)

const (
	keysPath        = "/.well-known/jwks.json"
	userTokenHeader = "X-Langsmith-User-Token"
	userIDHeader    = "X-Langsmith-User-Id"
	userEmailHeader = "X-Langsmith-User-Email"

	localIssuer     = "http://localhost"
	callbackSubject = "langsmith-sandbox-callback"
	tokenLifetime   = 5 * time.Minute // of what an identity signs
)

// identity signs who is let in by login, so that services can tell, and what
// callbacks are asked. Its key is public, unlike that of the tokens that let in.
type identity struct {
	private ed25519.PrivateKey
	id      string
	issuer  string
}

func newIdentity(s *signer, publicURL string) *identity {
	private := ed25519.NewKeyFromSeed(s.mac("user tokens")) // 32 bytes
	i := &identity{private: private, issuer: cmp.Or(strings.TrimRight(publicURL, "/"), localIssuer)}
	sum := sha256.Sum256(i.public())
	i.id = hex.EncodeToString(sum[:8])
	return i
}

func (i *identity) public() []byte { return i.private[ed25519.SeedSize:] }

// userToken says to a service at a host that its user logged in.
func (i *identity) userToken(host string, now time.Time) (string, error) {
	return i.token(map[string]any{"sub": localUser, "aud": host}, now)
}

// callback says to an endpoint that its body comes from a sandbox's proxy.
func (i *identity) callback(address string, body []byte, now time.Time) (string, error) {
	sum := sha256.Sum256(body)
	return i.token(map[string]any{"sub": callbackSubject, "aud": address, "body_sha256": hex.EncodeToString(sum[:])}, now)
}

// token signs claims, and who says so for how long, which it adds to them.
func (i *identity) token(claims map[string]any, now time.Time) (string, error) {
	claims["iss"], claims["iat"], claims["exp"] = i.issuer, now.Unix(), now.Add(tokenLifetime).Unix()
	header, err := json.Marshal(map[string]string{"alg": "EdDSA", "kid": i.id, "typ": "JWT"})
	if err != nil {
		return "", err
	}
	body, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	content := base64.RawURLEncoding.EncodeToString(header) + "." + base64.RawURLEncoding.EncodeToString(body)
	return content + "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(i.private, []byte(content))), nil
}

// serveKeys shows the public key to whoever wants to check a token.
func (i *identity) serveKeys(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return notAllowed(r.Method, http.MethodGet, http.MethodHead)
	}
	w.Header().Set("Cache-Control", "public, max-age=300")
	writeJSON(w, http.StatusOK, map[string]any{"keys": []map[string]string{{
		"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": i.id, "x": base64.RawURLEncoding.EncodeToString(i.public()),
	}}})
	return nil
}
