package runtime

import (
	"crypto/rand"
	"slices"
	"strings"

	"github.com/langsandbox/sandbox-go/internal/sandboxagent"
)

// standardPath is the PATH of commands in a root of their own.
const standardPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// newCookie returns an environment entry that marks what came from a command.
// It begins with prefix, or is a prefix for more of them.
func newCookie(prefix string) string {
	if prefix == "" {
		prefix = sandboxagent.CookieKey
	}
	return prefix + rand.Text()
}

// baseEnv is the environment that commands start from.
func baseEnv(path, home, user string) []string {
	return []string{"PATH=" + path, "HOME=" + home, "USER=" + user, "LANG=C.UTF-8", "TERM=xterm-256color"}
}

// mergeEnv joins lists of environment entries. Of entries with the same name
// the last one wins: what programs do with two is up to each.
func mergeEnv(lists ...[]string) []string {
	all := slices.Concat(lists...)
	last := make(map[string]int, len(all))
	for i, entry := range all {
		last[envKey(entry)] = i
	}
	merged := make([]string, 0, len(last))
	for i, entry := range all {
		if last[envKey(entry)] == i {
			merged = append(merged, entry)
		}
	}
	return merged
}

func envKey(entry string) string {
	key, _, _ := strings.Cut(entry, "=")
	return key
}
