package sandboxclient

import (
	"fmt"
	"net/url"
	"strings"
)

const (
	defaultHost = "https://api.smith.langchain.com"
	apiPath     = "/v2/sandboxes"
)

// environment answers what the options left open.
type environment func(key string) string

// first returns the first of keys that is set to more than white space.
func (e environment) first(keys ...string) string {
	for _, key := range keys {
		if v := strings.TrimSpace(e(key)); v != "" {
			return v
		}
	}
	return ""
}

// endpoint resolves the base URL of the API. An explicit one is the whole
// base; one from the environment is a host, to which the API's path is added.
func (e environment) endpoint(explicit string) (*url.URL, error) {
	if v := strings.TrimSpace(explicit); v != "" {
		return parseBase("endpoint", v)
	}
	host := e.first("LANGSMITH_ENDPOINT", "LANGCHAIN_ENDPOINT")
	if host == "" {
		host = defaultHost
	}
	u, err := parseBase("LANGSMITH_ENDPOINT", host)
	if err != nil {
		return nil, err
	}
	return u.JoinPath(apiPath), nil
}

func (e environment) apiKey() string {
	return e.first("LANGSMITH_API_KEY", "LANGCHAIN_API_KEY")
}

// parseBase parses an http or https address and takes off trailing slashes,
// query and fragment.
func parseBase(argument, raw string) (*url.URL, error) {
	invalid := func(reason string) error {
		return &ArgumentError{Argument: argument, Reason: reason}
	}
	u, err := url.Parse(raw)
	if err != nil {
		// The parser's error repeats the address, which may hold a password.
		return nil, invalid("is not a URL")
	}
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, invalid(fmt.Sprintf("has the scheme %q, not http or https", u.Scheme))
	case u.Hostname() == "":
		return nil, invalid("has no host")
	case u.User != nil:
		return nil, invalid("holds a user name or password; pass the key as an API key")
	}
	u.RawQuery, u.ForceQuery, u.Fragment, u.RawFragment = "", false, "", ""
	u.RawPath = strings.TrimRight(u.EscapedPath(), "/")
	if u.Path, err = url.PathUnescape(u.RawPath); err != nil {
		return nil, invalid("is not a URL")
	}
	return u, nil
}
