package sandboxtest

import (
	"cmp"
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// scrubbed stands on a tape for what is secret.
const scrubbed = "REDACTED"

// learned is how long a secret must be to be looked for everywhere.
const learned = 8

var (
	secretName  = regexp.MustCompile(`(?i)(^|[-_.])(authorization|cookie|api-?key|key|jwt|sig|signature|token|secret|password|passwd|credential)s?$|^x-api-key|(token|secret|password|apikey|signature|accesskeyid|_key_id)$`)
	secretQuery = regexp.MustCompile(`([?&#;])([A-Za-z0-9_.~%-]+)=([^&#;\s"'<>]+)`)
	secretText  = regexp.MustCompile(`\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*|\blsv2_[a-z]{2}_\w{8,}`)
	userinfo    = regexp.MustCompile(`^([a-z][a-z0-9+.-]*://)[^/?#@]+@`)
	secretMaps  = []string{"env", "env_vars", "inject_headers"}
)

// scrubber takes secrets out of what goes on a tape. Of requests that are
// replayed it takes out the same.
type scrubber struct {
	known []string // looked for everywhere, the longest first
	extra []func(string) string
}

// learn has a secret looked for everywhere from now on.
func (s *scrubber) learn(secret string) {
	secret = strings.TrimSpace(secret)
	if len(secret) < learned || strings.Contains(secret, scrubbed) {
		return
	}
	quoted, _ := json.Marshal(secret) //nolint:errchkjson // a string
	for _, form := range []string{secret, strings.Trim(string(quoted), `"`), url.QueryEscape(secret), url.PathEscape(secret)} {
		if !slices.Contains(s.known, form) {
			s.known = append(s.known, form)
		}
	}
	slices.SortFunc(s.known, func(a, b string) int {
		return cmp.Or(len(b)-len(a), cmp.Compare(a, b))
	})
}

// keep is what stands for a secret where lengths matter, as they do in output
// that has offsets.
func keep(secret string) string {
	n := len(secret) - len(scrubbed)
	if n < 0 {
		return scrubbed[:len(secret)]
	}
	return scrubbed + strings.Repeat("*", n)
}

func drop(string) string { return scrubbed }

// everywhere takes out known secrets and what looks like one, and then what the
// caller's functions do.
func (s *scrubber) everywhere(text string, mask func(string) string) string {
	for _, secret := range s.known {
		if strings.Contains(text, secret) {
			text = strings.ReplaceAll(text, secret, mask(secret))
		}
	}
	text = secretText.ReplaceAllStringFunc(text, mask)
	for _, f := range s.extra {
		text = f(text)
	}
	return text
}

// link takes the secrets out of an address.
func (s *scrubber) link(address string) string {
	if m := userinfo.FindStringSubmatch(address); m != nil {
		address = m[1] + scrubbed + "@" + address[len(userinfo.FindString(address)):]
	}
	return secretQuery.ReplaceAllStringFunc(address, func(pair string) string {
		m := secretQuery.FindStringSubmatch(pair)
		if !secretName.MatchString(m[2]) {
			return pair
		}
		s.learn(m[3])
		if plain, err := url.QueryUnescape(m[3]); err == nil {
			s.learn(plain)
		}
		return m[1] + m[2] + "=" + scrubbed
	})
}

// header returns a copy without secrets.
func (s *scrubber) header(h http.Header) http.Header {
	clean := http.Header{}
	for name, values := range h {
		for _, value := range values {
			switch {
			case secretName.MatchString(name):
				s.learn(value)
				for _, sep := range []string{" ", "="} { // of a scheme, or the name of a cookie
					if _, token, ok := strings.Cut(value, sep); ok {
						token, _, _ = strings.Cut(token, ";")
						s.learn(token)
					}
				}
				value = scrubbed
			case name == "Location" || name == "Referer":
				value = s.link(value)
			}
			clean[name] = append(clean[name], value)
		}
	}
	return clean
}

// headerText applies to the values of a header what applies everywhere.
func (s *scrubber) headerText(h http.Header) {
	for _, values := range h {
		for i := range values {
			values[i] = s.everywhere(values[i], drop)
		}
	}
}

// isJSON reports whether content of the type is JSON.
func isJSON(h http.Header) bool {
	media, _, _ := strings.Cut(h.Get("Content-Type"), ";")
	media = strings.ToLower(strings.TrimSpace(media))
	return media == "application/json" || strings.HasSuffix(media, "+json")
}

// jsonScrub takes the secrets out of one JSON text and leaves every other byte
// as it is.
type jsonScrub struct {
	s     *scrubber
	text  string
	edits []edit
}

type edit struct {
	from, to int
	value    string
}

// object is what is known of an object whose end has not come.
type object struct {
	secrets bool // all its values are
	key     string
	isKey   bool // the next string is a key
	list    bool

	kind           string
	value, expires *edit // members that are secret if others say so
	token          bool
}

// json takes the secrets out of JSON. What is none stays as it is.
func (s *scrubber) json(text string) string {
	j := &jsonScrub{s: s, text: text}
	if !j.scan() {
		return text
	}
	slices.SortFunc(j.edits, func(a, b edit) int { return b.from - a.from })
	for _, e := range j.edits {
		quoted, _ := json.Marshal(e.value) //nolint:errchkjson // a string
		text = text[:e.from] + string(quoted) + text[e.to:]
	}
	return text
}

func (j *jsonScrub) scan() bool {
	if !json.Valid([]byte(j.text)) {
		return false
	}
	decoder := json.NewDecoder(strings.NewReader(j.text))
	decoder.UseNumber()
	stack := []*object{{list: true}}
	for before := 0; ; before = int(decoder.InputOffset()) {
		token, err := decoder.Token()
		if err != nil {
			return true
		}
		top := stack[len(stack)-1]
		switch token := token.(type) {
		case json.Delim:
			if token == '}' || token == ']' {
				j.end(top)
				stack = stack[:len(stack)-1]
				continue
			}
			top.isKey = !top.list
			stack = append(stack, &object{list: token == '[', isKey: token == '{', key: top.key, secrets: top.secrets || slices.Contains(secretMaps, top.key)})
		case string:
			if top.isKey {
				top.key, top.isKey = token, false
				continue
			}
			top.isKey = !top.list
			from := before + strings.IndexByte(j.text[before:], '"')
			j.string(top, token, from, int(decoder.InputOffset()))
		default:
			top.isKey = !top.list
		}
	}
}

func (j *jsonScrub) string(o *object, value string, from, to int) {
	if value == "" {
		return
	}
	e := edit{from, to, scrubbed}
	switch {
	case o.secrets, secretName.MatchString(o.key):
		o.token = o.token || strings.HasSuffix(o.key, "token")
		j.s.learn(value)
		j.edits = append(j.edits, e)
	case o.key == "type":
		o.kind = value
	case o.key == "value":
		o.value = &e
	case o.key == "expires_at":
		o.expires = &edit{from, to, "2099-01-01T00:00:00Z"}
	case strings.Contains(value, "://"):
		if clean := j.s.link(value); clean != value {
			e.value = clean
			j.edits = append(j.edits, e)
		}
	}
}

// end decides about members of an object by the others. The time at which a
// token expires goes with the token: on replay it must not have come.
func (j *jsonScrub) end(o *object) {
	if o.kind == "opaque" && o.value != nil {
		var secret string
		if json.Unmarshal([]byte(j.text[o.value.from:o.value.to]), &secret) == nil {
			j.s.learn(secret)
		}
		j.edits = append(j.edits, *o.value)
	}
	if o.token && o.expires != nil {
		j.edits = append(j.edits, *o.expires)
	}
}
