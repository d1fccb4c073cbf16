package sandboxtest

import (
	"fmt"
	"maps"
	"regexp"
	"strings"
)

// Clients choose some names at random: ids of commands, names of sandboxes that
// delete themselves, boundaries of uploads. On a tape they are numbered, in
// names of the same shape and length; on replay a number stands for the name
// that the client has chosen this time.
var (
	chosenNames = regexp.MustCompile(`\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b|\bephemeral-[0-9a-f]{16}\b|\b[0-9a-f]{60}\b`)
	tapedNames  = regexp.MustCompile(`\b00000000-0000-7000-8000-\d{12}\b|\bephemeral-0{8}\d{8}\b|\b0{52}\d{8}\b`)
)

func tapedName(chosen string, number int) string {
	switch {
	case strings.HasPrefix(chosen, "ephemeral-"):
		return fmt.Sprintf("ephemeral-%016d", number)
	case len(chosen) == 60:
		return fmt.Sprintf("%060d", number)
	default:
		return fmt.Sprintf("00000000-0000-7000-8000-%012d", number)
	}
}

// tapedNamer replaces names while a tape is made.
type tapedNamer struct {
	taped  map[string]string // names by what the client chose
	served map[string]bool   // names that the server chose
}

func newTapedNamer() *tapedNamer {
	return &tapedNamer{taped: map[string]string{}, served: map[string]bool{}}
}

// client replaces what the client has chosen in something that it sends.
func (n *tapedNamer) client(s string) string {
	return chosenNames.ReplaceAllStringFunc(s, func(name string) string {
		if n.taped[name] == "" && !n.served[name] {
			n.taped[name] = tapedName(name, len(n.taped)+1)
		}
		return n.lookup(name)
	})
}

// server replaces the same in something that the server sends, and notes what
// the server chose.
func (n *tapedNamer) server(s string) string {
	return chosenNames.ReplaceAllStringFunc(s, func(name string) string {
		if n.taped[name] == "" {
			n.served[name] = true
		}
		return n.lookup(name)
	})
}

func (n *tapedNamer) lookup(name string) string {
	if taped := n.taped[name]; taped != "" {
		return taped
	}
	return name
}

// names are those that the client of a replay has chosen, by those on the tape.
type names map[string]string

// fill puts the client's names into something of the tape.
func (n names) fill(taped string) string {
	return tapedNames.ReplaceAllStringFunc(taped, func(name string) string {
		if chosen := n[name]; chosen != "" {
			return chosen
		}
		return name
	})
}

// match reports whether a client sent what is on the tape, with names of its
// own in the places of those that it has not chosen yet. They are added to n,
// whatever comes of it: the caller keeps n only after a match.
func (n names) match(taped, sent string, prefix bool) bool {
	at := 0
	for _, span := range tapedNames.FindAllStringIndex(taped, -1) {
		name := taped[span[0]:span[1]]
		if n[name] != "" || len(sent) < span[1] || chosenNames.FindString(sent[span[0]:span[1]]) != sent[span[0]:span[1]] {
			continue
		}
		if n.fill(taped[at:span[0]]) != sent[at:span[0]] || n.taken(sent[span[0]:span[1]]) {
			return false
		}
		n[name] = sent[span[0]:span[1]]
		at = span[1]
	}
	want := n.fill(taped[at:])
	return want == sent[at:] || prefix && strings.HasPrefix(sent[at:], want)
}

func (n names) taken(chosen string) bool {
	for _, name := range n {
		if name == chosen {
			return true
		}
	}
	return false
}

func (n names) clone() names { return maps.Clone(n) }
