package sandboxauth_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"maps"
	"math/big"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/langsandbox/sandbox-go/sandboxauth"
)

const (
	host     = "id--3000.svc.test"
	callback = "https://hooks.test/headers?x=1"
	issuer   = "https://api.test"

	hooksIssuer = "https://hooks.api.test"
)

// pair is a key and how to sign with it.
type pair struct {
	algorithm string
	jwk       map[string]any
	sign      func(content []byte) []byte
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func edPair(kid string) pair {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	must(err)
	return pair{
		"EdDSA",
		map[string]any{"kty": "OKP", "crv": "Ed25519", "kid": kid, "alg": "EdDSA", "use": "sig", "x": b64(public)},
		func(content []byte) []byte { return ed25519.Sign(private, content) },
	}
}

var rsaKey = sync.OnceValue(func() *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	must(err)
	return k
})

func rsaPair(kid, algorithm string) pair {
	k, hash := rsaKey(), hashOf(algorithm)
	return pair{
		algorithm,
		map[string]any{"kty": "RSA", "kid": kid, "alg": algorithm, "n": b64(k.N.Bytes()), "e": b64(big.NewInt(int64(k.E)).Bytes())},
		func(content []byte) []byte {
			digest := digestOf(hash, content)
			var signature []byte
			var err error
			if algorithm[0] == 'P' {
				signature, err = rsa.SignPSS(rand.Reader, k, hash, digest, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
			} else {
				signature, err = rsa.SignPKCS1v15(nil, k, hash, digest)
			}
			must(err)
			return signature
		},
	}
}

func ecPair(kid, algorithm, curve string, c elliptic.Curve) pair {
	k, err := ecdsa.GenerateKey(c, rand.Reader)
	must(err)
	size := (c.Params().BitSize + 7) / 8
	point, err := k.PublicKey.Bytes()
	must(err)
	return pair{
		algorithm,
		map[string]any{"kty": "EC", "crv": curve, "kid": kid, "x": b64(point[1 : 1+size]), "y": b64(point[1+size:])},
		func(content []byte) []byte {
			r, s, err := ecdsa.Sign(rand.Reader, k, digestOf(hashOf(algorithm), content))
			must(err)
			return append(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...)
		},
	}
}

func hashOf(algorithm string) crypto.Hash {
	return map[string]crypto.Hash{"256": crypto.SHA256, "384": crypto.SHA384, "512": crypto.SHA512}[algorithm[2:]]
}

func digestOf(hash crypto.Hash, content []byte) []byte {
	h := hash.New()
	_, _ = h.Write(content)
	return h.Sum(nil)
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// said is what a token says, with changes; nil takes a member out.
func said(changes map[string]any) map[string]any {
	now := time.Now().Unix()
	c := map[string]any{"sub": "user-1", "aud": host, "iss": issuer, "iat": now, "exp": now + 60, "email": "a@b.test", "name": "Ann"}
	maps.Copy(c, changes)
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
	return c
}

// token signs what is said.
func (p pair) token(header, payload map[string]any) string {
	h := map[string]any{"alg": p.algorithm, "kid": p.jwk["kid"], "typ": "JWT"}
	maps.Copy(h, header)
	maps.DeleteFunc(h, func(_ string, v any) bool { return v == nil })
	return p.raw(mustJSON(h), mustJSON(payload))
}

func (p pair) raw(header, payload string) string {
	content := b64([]byte(header)) + "." + b64([]byte(payload))
	return content + "." + b64(p.sign([]byte(content)))
}

func mustJSON(v any) string {
	data, err := json.Marshal(v)
	must(err)
	return string(data)
}

// TestUserAlgorithms: all algorithms that the API may use, each with the key
// for it only.
func TestUserAlgorithms(t *testing.T) {
	t.Parallel()
	pairs := []pair{edPair("EdDSA")}
	for _, algorithm := range []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"} {
		pairs = append(pairs, rsaPair(algorithm, algorithm))
	}
	pairs = append(pairs, ecPair("ES256", "ES256", "P-256", elliptic.P256()), ecPair("ES384", "ES384", "P-384", elliptic.P384()), ecPair("ES512", "ES512", "P-521", elliptic.P521()))
	api := newAPI(pairs...)
	v := api.verifier(t)
	for _, p := range pairs {
		user, err := v.User(t.Context(), p.token(nil, said(nil)), host)
		if err != nil || user.ID != "user-1" || user.Email != "a@b.test" || user.Name != "Ann" || user.Issuer != issuer {
			t.Errorf("%s: %+v, %v", p.algorithm, user, err)
		}
		for _, other := range pairs {
			if other.algorithm == p.algorithm {
				continue
			}
			// Its own key under another's name, and another algorithm's name.
			for _, header := range []map[string]any{{"kid": other.jwk["kid"]}, {"alg": other.algorithm}} {
				if _, err := v.User(t.Context(), p.token(header, said(nil)), host); !errors.Is(err, sandboxauth.ErrToken) {
					t.Errorf("%s as %v: %v", p.algorithm, header, err)
				}
			}
		}
	}
}

// TestUserRefusals: what proves nothing.
func TestUserRefusals(t *testing.T) {
	t.Parallel()
	p := edPair("k")
	public, err := base64.RawURLEncoding.DecodeString(p.jwk["x"].(string)) //nolint:forcetypeassert // from edPair
	must(err)
	hmacPair := pair{"HS256", p.jwk, func(content []byte) []byte {
		h := hmac.New(sha256.New, public)
		_, _ = h.Write(content)
		return h.Sum(nil)
	}}
	good := p.token(nil, said(nil))
	parts := strings.Split(good, ".")
	now := time.Now().Unix()
	tests := map[string]string{
		"empty":                      "",
		"two parts":                  parts[0] + "." + parts[1],
		"four parts":                 good + ".x",
		"no signature":               parts[0] + "." + parts[1] + ".",
		"an altered signature":       parts[0] + "." + parts[1] + "." + b64(make([]byte, 64)),
		"a padded signature":         good + "==",
		"a line end":                 good + "\n",
		"altered content":            parts[0] + "." + b64([]byte(mustJSON(said(map[string]any{"sub": "root"})))) + "." + parts[2],
		"algorithm none":             b64([]byte(`{"alg":"none","kid":"k"}`)) + "." + parts[1] + ".",
		"the public key as secret":   hmacPair.token(nil, said(nil)),
		"algorithm in small":         p.token(map[string]any{"alg": "eddsa"}, said(nil)),
		"no algorithm":               p.token(map[string]any{"alg": nil}, said(nil)),
		"no key":                     p.token(map[string]any{"kid": nil}, said(nil)),
		"an unknown key":             p.token(map[string]any{"kid": "other"}, said(nil)),
		"an extension":               p.token(map[string]any{"crit": []string{"exp"}}, said(nil)),
		"unencoded content":          p.token(map[string]any{"b64": false}, said(nil)),
		"two algorithms":             p.raw(`{"alg":"EdDSA","kid":"k","alg":"EdDSA"}`, mustJSON(said(nil))),
		"two subjects":               p.raw(`{"alg":"EdDSA","kid":"k"}`, `{"sub":"a",`+mustJSON(said(nil))[1:]),
		"more behind":                p.raw(`{"alg":"EdDSA","kid":"k"}`, mustJSON(said(nil))+"{}"),
		"no object":                  p.raw(`{"alg":"EdDSA","kid":"k"}`, `[]`),
		"a header that is a string":  p.raw(`"EdDSA"`, mustJSON(said(nil))),
		"another audience":           p.token(nil, said(map[string]any{"aud": "id--3001.svc.test"})),
		"no audience":                p.token(nil, said(map[string]any{"aud": nil})),
		"an audience that begins so": p.token(nil, said(map[string]any{"aud": host + ".evil.test"})),
		"no end":                     p.token(nil, said(map[string]any{"exp": nil})),
		"null end":                   p.raw(`{"alg":"EdDSA","kid":"k"}`, strings.Replace(mustJSON(said(map[string]any{"exp": 0})), `"exp":0`, `"exp":null`, 1)),
		"an end as text":             p.token(nil, said(map[string]any{"exp": "9999999999"})),
		"an end without end":         p.raw(`{"alg":"EdDSA","kid":"k"}`, strings.Replace(mustJSON(said(map[string]any{"exp": 0})), `"exp":0`, `"exp":1e300`, 1)),
		"expired":                    p.token(nil, said(map[string]any{"exp": now - 31})),
		"no begin":                   p.token(nil, said(map[string]any{"iat": nil})),
		"from the future":            p.token(nil, said(map[string]any{"iat": now + 40})),
		"not yet":                    p.token(nil, said(map[string]any{"nbf": now + 40})),
		"a begin as text":            p.token(nil, said(map[string]any{"nbf": "now"})),
		"no issuer":                  p.token(nil, said(map[string]any{"iss": nil})),
		"another issuer":             p.token(nil, said(map[string]any{"iss": "https://evil.test"})),
		"no subject":                 p.token(nil, said(map[string]any{"sub": nil})),
		"other letters":              p.raw(`{"alg":"EdDSA","kid":"k"}`, strings.Replace(mustJSON(said(nil)), `"sub"`, `"SUB"`, 1)),
		"a callback":                 p.token(nil, said(map[string]any{"sub": "langsmith-sandbox-callback"})),
		"too long":                   p.token(nil, said(map[string]any{"x": strings.Repeat("x", 20<<10)})),
	}
	v := newAPI(p).verifier(t)
	if _, err := v.User(t.Context(), good, host); err != nil {
		t.Fatal(err)
	}
	if _, err := v.User(t.Context(), p.token(nil, said(map[string]any{"aud": []string{"x", host}, "exp": float64(now) + 60.5, "nbf": now + 20})), host); err != nil {
		t.Errorf("one of two audiences: %v", err)
	}
	if _, err := v.User(t.Context(), good, "https://"+host+"/page"); err != nil {
		t.Errorf("for an address: %v", err)
	}
	if _, err := v.User(t.Context(), good, ""); !errors.Is(err, sandboxauth.ErrToken) {
		t.Errorf("for nobody: %v", err)
	}
	for name, token := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			user, err := v.User(t.Context(), token, host)
			if user != nil || !errors.Is(err, sandboxauth.ErrToken) || errors.Is(err, sandboxauth.ErrKeys) {
				t.Errorf("%+v, %v", user, err)
			}
			if token != "" && strings.Contains(err.Error(), parts[2]) {
				t.Errorf("the error repeats the token: %v", err)
			}
		})
	}
}

// TestClock: clocks may differ by 30 seconds.
func TestClock(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := edPair("k")
		v := newAPI(p).verifier(t)
		now := time.Now().Unix()
		for _, tt := range []struct {
			claims map[string]any
			good   bool
		}{
			{map[string]any{"exp": now - 29}, true},
			{map[string]any{"exp": now - 30}, false},
			{map[string]any{"iat": now + 30}, true},
			{map[string]any{"iat": now + 31}, false},
			{map[string]any{"nbf": now + 30}, true},
			{map[string]any{"nbf": now + 31}, false},
		} {
			if _, err := v.User(t.Context(), p.token(nil, said(tt.claims)), host); (err == nil) != tt.good {
				t.Errorf("%v: %v", tt.claims, err)
			}
		}
	})
}

// TestCallback: a call passes with the signature of its body and address.
func TestCallback(t *testing.T) {
	t.Parallel()
	p, other := edPair("k"), rsaPair("r", "RS256")
	v := newAPI(p, other).verifier(t)
	body := []byte(`{"host":"h.test","port":443,"identity":{"tenant_id":"t","sandbox_id":"s","ls_user_id":"u"},
		"request":{"method":"GET","url":"https://h.test/a?b","scheme":"https","host":"h.test","path":"/a","query":"b","headers":{"A":["1","2"]},"body_base64":"aGk=","body_truncated":true}}`)
	sum := sha256.Sum256(body)
	signed := func(changes map[string]any) map[string]any {
		c := said(map[string]any{"sub": "langsmith-sandbox-callback", "aud": callback, "iss": hooksIssuer, "body_sha256": hex.EncodeToString(sum[:])})
		maps.Copy(c, changes)
		return c
	}
	got, err := v.Callback(t.Context(), p.token(nil, signed(nil)), callback, body)
	if err != nil {
		t.Fatal(err)
	}
	want := &sandboxauth.Callback{
		Host: "h.test", Port: 443, Identity: sandboxauth.Identity{TenantID: "t", SandboxID: "s", LSUserID: "u"},
		Request: &sandboxauth.CallbackRequest{
			Method: "GET", URL: "https://h.test/a?b", Scheme: "https", Host: "h.test", Path: "/a", Query: "b",
			Headers: map[string][]string{"A": {"1", "2"}}, Body: []byte("hi"), BodyTruncated: true,
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("call (-want +got):\n%s", diff)
	}
	for name, tt := range map[string]struct {
		token string
		body  []byte
	}{
		"another body":      {p.token(nil, signed(nil)), append(body, ' ')},
		"no digest":         {p.token(nil, signed(map[string]any{"body_sha256": ""})), body},
		"half a digest":     {p.token(nil, signed(map[string]any{"body_sha256": hex.EncodeToString(sum[:16])})), body},
		"another address":   {p.token(nil, signed(map[string]any{"aud": callback + "2"})), body},
		"a user's issuer":   {p.token(nil, signed(map[string]any{"iss": issuer})), body},
		"no call":           {p.token(nil, signed(map[string]any{"body_sha256": hex.EncodeToString(digestOf(crypto.SHA256, []byte("{}")))})), []byte("{}")},
		"a user":            {p.token(nil, signed(map[string]any{"sub": "user-1"})), body},
		"another algorithm": {other.token(nil, signed(nil)), body},
	} {
		if call, err := v.Callback(t.Context(), tt.token, callback, tt.body); call != nil || !errors.Is(err, sandboxauth.ErrToken) {
			t.Errorf("%s: %+v, %v", name, call, err)
		}
	}
}

// FuzzToken: nothing that is not signed passes, and nothing breaks.
func FuzzToken(f *testing.F) {
	p := edPair("k")
	api := newAPI(p)
	v := api.verifier(f)
	good := p.token(nil, said(nil))
	for _, seed := range []string{good, "", "..", "a.b.c", strings.ToUpper(good), b64([]byte(`{"alg":"none","kid":"k"}`)) + ".e30."} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, token string) {
		if user, err := v.User(t.Context(), token, host); token != good && (user != nil || !errors.Is(err, sandboxauth.ErrToken)) {
			t.Errorf("%q is %+v, %v", token, user, err)
		}
	})
}
