package sandboxauth

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"math"
	"slices"
	"strings"
	"time"
)

// maxToken bounds a token, in bytes.
const maxToken = 16 << 10

// token is a signed statement whose signature is not checked yet.
type token struct {
	algorithm string
	key       string
	signed    string // what the signature is of
	payload   []byte
	signature []byte
}

// parse takes a token apart.
func parse(raw string) (*token, error) {
	if raw == "" {
		return nil, refused("there is none")
	}
	if len(raw) > maxToken {
		return nil, refused("it is too long")
	}
	parts := strings.Split(raw, ".")
	if len(parts) != 3 {
		return nil, refused("it does not have three parts")
	}
	var decoded [3][]byte
	for i, part := range parts {
		var err error
		// The strict decoder still skips line ends.
		if decoded[i], err = base64.RawURLEncoding.Strict().DecodeString(part); err != nil || strings.ContainsAny(part, "\r\n") {
			return nil, refused("a part is not base64url")
		}
	}
	header, err := object(decoded[0])
	if err != nil {
		return nil, refused("its header is no JSON object")
	}
	t := &token{signed: parts[0] + "." + parts[1], payload: decoded[1], signature: decoded[2]}
	t.algorithm, t.key = text(header, "alg"), text(header, "kid")
	_, critical := header["crit"]
	_, packed := header["b64"]
	switch {
	case t.key == "":
		return nil, refused("it names no key")
	case critical || packed:
		return nil, refused("its header has extensions")
	}
	return t, nil
}

// object decodes a JSON object whose names count letter by letter, each once.
func object(data []byte) (map[string]json.RawMessage, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	if open, err := d.Token(); err != nil || open != json.Delim('{') {
		return nil, refused("it is no JSON object")
	}
	members := map[string]json.RawMessage{}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, err
		}
		key, _ := name.(string)
		if _, twice := members[key]; twice {
			return nil, refused("it says something twice")
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, err
		}
		members[key] = value
	}
	if _, err := d.Token(); err != nil {
		return nil, err
	}
	if d.More() {
		return nil, refused("there is more behind it")
	}
	return members, nil
}

// text is a member that is a string, or empty.
func text(members map[string]json.RawMessage, name string) string {
	var s string
	if json.Unmarshal(members[name], &s) != nil {
		return ""
	}
	return s
}

// claims are what a token says.
type claims struct {
	members   map[string]json.RawMessage
	subject   string
	issuer    string
	audiences []string
	issued    time.Time
	expires   time.Time
	notBefore time.Time // zero is none
}

func (c *claims) text(name string) string { return text(c.members, name) }

// claims reads the payload of a token.
func (t *token) claims() (*claims, error) {
	members, err := object(t.payload)
	if err != nil {
		return nil, refused("its content is no JSON object")
	}
	c := &claims{members: members, subject: text(members, "sub"), issuer: text(members, "iss")}
	if one := text(members, "aud"); one != "" {
		c.audiences = []string{one}
	} else if json.Unmarshal(members["aud"], &c.audiences) != nil {
		c.audiences = nil
	}
	var ok1, ok2 bool
	c.expires, ok1 = date(members["exp"])
	c.issued, ok2 = date(members["iat"])
	if !ok1 || !ok2 {
		return nil, refused("it does not say from when to when it is good")
	}
	if raw, ok := members["nbf"]; ok {
		if c.notBefore, ok = date(raw); !ok {
			return nil, refused("it does not say from when it is good")
		}
	}
	return c, nil
}

// date reads seconds since 1970.
func date(raw json.RawMessage) (time.Time, bool) {
	var seconds float64
	if len(raw) == 0 || string(raw) == "null" || json.Unmarshal(raw, &seconds) != nil {
		return time.Time{}, false
	}
	whole, part := math.Modf(seconds)
	if math.Abs(whole) > 1<<40 {
		return time.Time{}, false
	}
	return time.Unix(int64(whole), int64(part*1e9)), true
}

// check reports why a token is not good now, or not here.
func (c *claims) check(now time.Time, audience, issuer string) error {
	switch {
	case c.issuer == "":
		return refused("it does not say who made it")
	case issuer != "" && c.issuer != issuer:
		return refused("it was made by somebody else")
	case c.subject == "":
		return refused("it does not say whom it is about")
	case !slices.Contains(c.audiences, audience):
		return refused("it is for somebody else")
	case !now.Before(c.expires.Add(leeway)):
		return refused("it has expired")
	case now.Add(leeway).Before(c.issued):
		return refused("it is from the future")
	case now.Add(leeway).Before(c.notBefore):
		return refused("it is not good yet")
	}
	return nil
}
