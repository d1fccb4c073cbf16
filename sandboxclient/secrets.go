package sandboxclient

import "strings"

// WorkspaceSecret is a secret of the workspace, by name: the sandbox's proxy
// puts in its value, which this client never sees.
func WorkspaceSecret(name string) SecretValue {
	return SecretValue{Type: ProxyHeaderWorkspaceSecret, Value: placeholder(name)}
}

// placeholder is how the value of a workspace secret is named in a text.
func placeholder(name string) string {
	name = strings.TrimSpace(name)
	if strings.ContainsAny(name, "{}") {
		return name
	}
	return "{" + name + "}"
}

// OpaqueSecret is a secret that is stored encrypted and never returned: what
// is read back says only that it is set.
func OpaqueSecret(value string) SecretValue {
	return SecretValue{Type: ProxyHeaderOpaque, Value: strings.TrimSpace(value)}
}

// secret checks a credential of a provider.
func (c *checks) secret(argument string, s SecretValue) {
	switch s.Type {
	case ProxyHeaderOpaque:
		if strings.TrimSpace(s.Value) == "" && !s.IsSet {
			c.fail(argument, "has no value")
		}
	case ProxyHeaderWorkspaceSecret:
		c.placeholders(argument, s.Value)
	case ProxyHeaderPlaintext:
		c.fail(argument, "would be stored in plain text; use WorkspaceSecret or OpaqueSecret")
	default:
		c.fail(argument, "has type %q; use WorkspaceSecret or OpaqueSecret", s.Type)
	}
}

// placeholders checks a text that names workspace secrets in braces, one at
// least. The text is not repeated: it may hold what should not be seen.
func (c *checks) placeholders(argument, text string) {
	names := 0
	for rest := text; ; names++ {
		before, after, open := strings.Cut(rest, "{")
		if strings.Contains(before, "}") {
			c.fail(argument, "has a } without {")
			return
		}
		if !open {
			break
		}
		name, behind, closed := strings.Cut(after, "}")
		if !closed || strings.TrimSpace(name) == "" || strings.Contains(name, "{") {
			c.fail(argument, "must name workspace secrets as {NAME}")
			return
		}
		rest = behind
	}
	if names == 0 {
		c.fail(argument, "names no workspace secret as {NAME}")
	}
}
