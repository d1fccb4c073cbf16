package sandboxauth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	_ "crypto/sha256" // the hashes of the algorithms
	_ "crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
	"slices"
)

// userAlgorithms are those that tokens of users may have.
var userAlgorithms = map[string]bool{
	"EdDSA": true,
	"RS256": true, "RS384": true, "RS512": true,
	"PS256": true, "PS384": true, "PS512": true,
	"ES256": true, "ES384": true, "ES512": true,
}

// callbackAlgorithms are those that signatures of callbacks may have.
var callbackAlgorithms = map[string]bool{"EdDSA": true}

// key is a public key, which is for one algorithm only.
type key struct {
	algorithm string
	public    crypto.PublicKey
}

// jwk is a key as the API publishes it.
type jwk struct {
	Kty    string   `json:"kty"`
	Kid    string   `json:"kid"`
	Alg    string   `json:"alg"`
	Use    string   `json:"use"`
	KeyOps []string `json:"key_ops"`
	Crv    string   `json:"crv"`
	X      string   `json:"x"`
	Y      string   `json:"y"`
	N      string   `json:"n"`
	E      string   `json:"e"`
}

var errUnusable = errors.New("not a key for signatures that is known here")

// parseKeys reads a set of keys by their names. Those that are of no use here
// are left out, as the API may have others; of two with one name there is the
// first.
func parseKeys(data []byte) (map[string]key, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(data, &set); err != nil {
		return nil, err
	}
	if set.Keys == nil {
		return nil, errors.New("there is no list of keys")
	}
	keys := map[string]key{}
	for _, raw := range set.Keys {
		var j jwk
		if json.Unmarshal(raw, &j) != nil || j.Kid == "" {
			continue
		}
		k, err := j.key()
		if _, twice := keys[j.Kid]; err == nil && !twice {
			keys[j.Kid] = k
		}
	}
	return keys, nil
}

func (j jwk) key() (key, error) {
	if j.Use != "" && j.Use != "sig" || len(j.KeyOps) > 0 && !slices.Contains(j.KeyOps, "verify") {
		return key{}, errUnusable
	}
	var k key
	var err error
	switch j.Kty {
	case "OKP":
		k, err = j.ed25519()
	case "EC":
		k, err = j.ecdsa()
	case "RSA":
		k, err = j.rsa()
	default:
		err = errUnusable
	}
	if err != nil || j.Alg != "" && j.Alg != k.algorithm {
		return key{}, errUnusable
	}
	return k, nil
}

func (j jwk) ed25519() (key, error) {
	x, err := base64.RawURLEncoding.DecodeString(j.X)
	if err != nil || j.Crv != "Ed25519" || len(x) != ed25519.PublicKeySize {
		return key{}, errUnusable
	}
	return key{"EdDSA", ed25519.PublicKey(x)}, nil
}

// curves are those of the algorithms with elliptic curves.
var curves = map[string]struct {
	curve     elliptic.Curve
	algorithm string
}{
	"P-256": {elliptic.P256(), "ES256"},
	"P-384": {elliptic.P384(), "ES384"},
	"P-521": {elliptic.P521(), "ES512"},
}

func (j jwk) ecdsa() (key, error) {
	c, ok := curves[j.Crv]
	if !ok {
		return key{}, errUnusable
	}
	size := (c.curve.Params().BitSize + 7) / 8
	x, err1 := base64.RawURLEncoding.DecodeString(j.X)
	y, err2 := base64.RawURLEncoding.DecodeString(j.Y)
	if err1 != nil || err2 != nil || len(x) != size || len(y) != size {
		return key{}, errUnusable
	}
	public, err := ecdsa.ParseUncompressedPublicKey(c.curve, slices.Concat([]byte{4}, x, y))
	return key{c.algorithm, public}, err
}

const (
	minRSABits = 2048
	maxRSABits = 8192 // more would take long to check
)

// rsa reads a key that says its algorithm: there are six it could be for.
func (j jwk) rsa() (key, error) {
	n, err1 := base64.RawURLEncoding.DecodeString(j.N)
	e, err2 := base64.RawURLEncoding.DecodeString(j.E)
	if err1 != nil || err2 != nil || len(e) == 0 || len(e) > 4 || len(n) > maxRSABits/8 {
		return key{}, errUnusable
	}
	exponent := new(big.Int).SetBytes(e).Int64()
	public := &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(exponent)}
	if public.N.BitLen() < minRSABits || exponent < 3 || exponent&1 == 0 || exponent > 1<<31-1 || len(j.Alg) != 5 || j.Alg[:2] != "RS" && j.Alg[:2] != "PS" || hashes[j.Alg[2:]] == 0 {
		return key{}, errUnusable
	}
	return key{j.Alg, public}, nil
}

var hashes = map[string]crypto.Hash{"256": crypto.SHA256, "384": crypto.SHA384, "512": crypto.SHA512}

// verify reports whether a token is signed by this key, in the key's own
// algorithm.
func (k key) verify(t *token) bool {
	if t.algorithm != k.algorithm {
		return false
	}
	if public, ok := k.public.(ed25519.PublicKey); ok {
		return ed25519.Verify(public, []byte(t.signed), t.signature)
	}
	hash := hashes[k.algorithm[2:]]
	h := hash.New()
	_, _ = h.Write([]byte(t.signed)) // never fails, see hash
	digest := h.Sum(nil)
	switch public := k.public.(type) {
	case *ecdsa.PublicKey:
		size := (public.Curve.Params().BitSize + 7) / 8
		if len(t.signature) != 2*size {
			return false
		}
		r, s := new(big.Int).SetBytes(t.signature[:size]), new(big.Int).SetBytes(t.signature[size:])
		return ecdsa.Verify(public, digest, r, s)
	case *rsa.PublicKey:
		if k.algorithm[:2] == "PS" {
			return rsa.VerifyPSS(public, hash, digest, t.signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil
		}
		return rsa.VerifyPKCS1v15(public, hash, digest, t.signature) == nil
	}
	return false
}
