package sandboxtest

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// compare shows where two texts differ, line by line.
func compare(want, got []string) string { return cmp.Diff(want, got) }

// requestLines is a request for people.
func requestLines(r *tapedRequest) []string {
	lines := []string{r.Method + " " + r.URL}
	if h := headerText(r.Header); h != "" {
		lines = append(lines, strings.Split(strings.TrimSuffix(h, "\n"), "\n")...)
	}
	return append(lines, contentLines(r.content)...)
}

// contentLines is content for people: JSON one member a line, bytes quoted.
func contentLines(c content) []string {
	text := c.String()
	if text == "" {
		return nil
	}
	var pretty bytes.Buffer
	if json.Indent(&pretty, []byte(text), "", "  ") == nil {
		text = pretty.String()
	}
	lines := strings.SplitAfter(text, "\n")
	for i, line := range lines {
		if !utf8.ValidString(line) {
			lines[i] = strconv.QuoteToASCII(line)
		}
	}
	return lines
}

// headerText has a line for each value of a header, in order.
func headerText(h http.Header) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(h)) {
		for _, value := range h[name] {
			b.WriteString(name + ": " + value + "\n")
		}
	}
	return b.String()
}
