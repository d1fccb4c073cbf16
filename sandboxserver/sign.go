package sandboxserver

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// claims are what a token of this server says. It is a JWT for those who like
// to look into tokens; nobody but this server can check one.
type claims struct {
	Kind    tokenKind `json:"use"`
	Sandbox string    `json:"sub"`
	Issued  int64     `json:"iat"`
	Expires int64     `json:"exp,omitempty"` // 0 is never

	Port    int      `json:"port,omitempty"`
	Origins []string `json:"embed_origins,omitempty"`
	Login   string   `json:"login,omitempty"` // the grant that somebody logged in by

	Path        string  `json:"path,omitempty"`
	Type        string  `json:"content_type,omitempty"`
	Disposition string  `json:"content_disposition,omitempty"`
	Policy      *string `json:"csp,omitempty"` // nil is the usual
}

// tokenKind keeps tokens from being used for what they are not.
type tokenKind string

const (
	tokenService  tokenKind = "service"
	tokenLogin    tokenKind = "login" // the cookie of who logged in
	tokenDownload tokenKind = "download"
)

// signer makes and checks tokens with a key of its server.
type signer struct{ key []byte }

const (
	signingKeyName = "signing.key"
	signingKeySize = 32
	maxToken       = 16 << 10 // characters; a path has 4096 bytes at most
)

// tokenHeader is that of every token: another one is none of this server.
var tokenHeader = base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256","typ":"JWT"}`))

var (
	errTokenInvalid = errors.New("the token is not valid here")
	errTokenExpired = errors.New("the token has expired")
)

// openSigner reads the key in a data directory, or makes it.
func openSigner(dir string) (*signer, error) {
	file := filepath.Join(dir, signingKeyName)
	key, err := os.ReadFile(file) //nolint:gosec // in the data directory
	if err == nil && len(key) != signingKeySize {
		return nil, fmt.Errorf("%s does not hold a key of %d bytes", file, signingKeySize)
	}
	if errors.Is(err, fs.ErrNotExist) {
		key = make([]byte, signingKeySize)
		_, _ = rand.Read(key) // never fails, see crypto/rand
		err = replaceFile(file, key)
	}
	return &signer{key}, err
}

func (s *signer) mac(content string) []byte {
	h := hmac.New(sha256.New, s.key)
	_, _ = h.Write([]byte(content)) // never fails, see hash
	return h.Sum(nil)
}

// sign makes a token.
func (s *signer) sign(c claims) (string, error) {
	var body bytes.Buffer
	if err := json.NewEncoder(&body).Encode(c); err != nil {
		return "", err
	}
	content := tokenHeader + "." + base64.RawURLEncoding.EncodeToString(bytes.TrimSpace(body.Bytes()))
	return content + "." + base64.RawURLEncoding.EncodeToString(s.mac(content)), nil
}

// verify returns what a token says, if this server made it for that use and it
// has not expired. Nothing of it is looked at before its signature.
func (s *signer) verify(token string, kind tokenKind, now time.Time) (claims, error) {
	content, signature, ok := cutLast(token, ".")
	given, err := base64.RawURLEncoding.Strict().DecodeString(signature)
	// The strict decoder still skips line ends.
	if !ok || err != nil || len(token) > maxToken || strings.ContainsAny(signature, "\r\n") || !hmac.Equal(given, s.mac(content)) {
		return claims{}, errTokenInvalid
	}
	header, body, _ := strings.Cut(content, ".")
	var c claims
	data, err := base64.RawURLEncoding.DecodeString(body)
	if err == nil {
		err = json.Unmarshal(data, &c)
	}
	if err != nil || header != tokenHeader || c.Kind != kind {
		return claims{}, errTokenInvalid
	}
	if c.Expires != 0 && now.Unix() >= c.Expires {
		return claims{}, errTokenExpired
	}
	return c, nil
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}
