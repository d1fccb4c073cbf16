package sandboxserver

import (
	"slices"
	"strings"

	"github.com/langsandbox/sandbox-go/gen"
)

const defaultLimit = 50

// listing is what the list operations have in common: which entries, in which
// order, and which stretch of them.
type listing[T entity] struct {
	keep         func(T) bool
	compare      func(a, b T) int // nil sorts by creation
	direction    gen.SortDirection
	nameContains string
	limit        int
	offset       int
}

// page returns one page, and the offset of the next or 0.
func (l listing[T]) page(all []T) ([]T, int) {
	kept := slices.DeleteFunc(all, func(t T) bool {
		return !strings.Contains(t.self().name, l.nameContains) || l.keep != nil && !l.keep(t)
	})
	slices.SortFunc(kept, func(a, b T) int {
		order := 0
		if l.compare != nil {
			order = l.compare(a, b)
		}
		if order == 0 {
			order = bySeq(a, b)
		}
		if l.direction != gen.SortAscending {
			order = -order
		}
		return order
	})
	limit := l.limit
	if limit <= 0 {
		limit = defaultLimit
	}
	start := min(max(l.offset, 0), len(kept))
	end := start + min(limit, len(kept)-start)
	next := end
	if end == len(kept) {
		next = 0
	}
	return kept[start:end], next
}

func byName[T entity](a, b T) int { return strings.Compare(a.self().name, b.self().name) }

// views maps entries to wire objects; an empty page is an empty array.
func views[T, V any](list []T, view func(T) V) []V {
	out := make([]V, len(list))
	for i, t := range list {
		out[i] = view(t)
	}
	return out
}

// value is what an optional parameter points to, or the zero value.
func value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}
