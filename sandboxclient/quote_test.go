package sandboxclient

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// words takes a command line apart as a POSIX shell does, for lines without
// expansions; a special character that is not quoted is an error.
func words(t *testing.T, line string) []string {
	t.Helper()
	var all []string
	var word strings.Builder
	in, quoted := false, false
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case quoted && c == '\'':
			quoted = false
		case quoted:
			word.WriteByte(c)
		case c == '\'':
			in, quoted = true, true
		case c == '\\':
			i++
			in = true
			word.WriteByte(line[i])
		case c == ' ':
			if in {
				all = append(all, word.String())
				word.Reset()
			}
			in = false
		case strings.ContainsRune("|&;<>()$`\"\t\r\n*?[]#~=!{}^", rune(c)) || c >= 0x80:
			t.Fatalf("%q has %q outside of quotes", line, c)
		default:
			in = true
			word.WriteByte(c)
		}
	}
	if quoted {
		t.Fatalf("%q ends inside of quotes", line)
	}
	if in {
		all = append(all, word.String())
	}
	return all
}

func TestQuotedLines(t *testing.T) {
	t.Parallel()
	for want, argv := range map[string][]string{
		`'echo'`:                     {"echo"},
		`'if' then`:                  {"if", "then"},
		`'a b' '' ''\'''`:            {"a b", "", "'"},
		`'ls' -la /tmp/x_y.z '~' @,`: {"ls", "-la", "/tmp/x_y.z", "~", "@,"},
		`'x' 'A=1' '$HOME' 'é'`:      {"x", "A=1", "$HOME", "é"},
	} {
		if got := quoteCommand(argv[0], argv[1:]); got != want {
			t.Errorf("%q became %s, want %s", argv, got, want)
		}
	}
}

func FuzzQuote(f *testing.F) {
	f.Add("echo", "it's", "")
	f.Add("a b", "\\'\\", "$(x)\n`y`")
	f.Fuzz(func(t *testing.T, name, one, two string) {
		argv := []string{name, one, two}
		if got := words(t, quoteCommand(name, argv[1:])); !slices.Equal(got, argv) {
			t.Fatalf("%q became %q", argv, got)
		}
	})
}

// TestRandomWordsSurvive what a shell does to them.
func TestRandomWordsSurvive(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		argv := make([]string, 1+random.IntN(5))
		for i := range argv {
			var b strings.Builder
			for range random.IntN(12) {
				b.WriteByte("'\\ \"$`ab-\n\t*?~#=!;&|<>(){}[]^%\xc3\xa9\xff"[random.IntN(33)])
			}
			argv[i] = b.String()
		}
		if got := words(t, quoteCommand(argv[0], argv[1:])); !slices.Equal(got, argv) {
			t.Fatalf("%q became %q", argv, got)
		}
	}
}
