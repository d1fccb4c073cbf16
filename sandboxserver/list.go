package sandboxserver

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"

	"github.com/langsandbox/sandbox-go/gen"
)

const defaultLimit = 50

// listing is what the list operations have in common: which entries, in which
// order, and which stretch of them.
type listing[T entity] struct {
	keep         func(T) bool
	key          func(T) string // nil sorts by creation
	direction    gen.SortDirection
	nameContains string
	limit        int
	offset       int
	cursor       string // where the page before ended; comes before offset
	order        string // names the list and what it is sorted by
}

// sorted returns what is listed, in order.
func (l listing[T]) sorted(all []T) []T {
	kept := slices.DeleteFunc(all, func(t T) bool {
		return !strings.Contains(t.self().name, l.nameContains) || l.keep != nil && !l.keep(t)
	})
	slices.SortFunc(kept, func(a, b T) int { return l.compare(l.place(a), l.place(b)) })
	return kept
}

// place is where an entry stands in its list, for as long as it does not
// change.
type place struct {
	Key   string `json:"k,omitempty"`
	Seq   uint64 `json:"s"`
	Order string `json:"o"` // binds it to one list, sorted in one way
}

func (l listing[T]) place(t T) place {
	p := place{Seq: t.self().seq, Order: l.orderedBy()}
	if l.key != nil {
		p.Key = l.key(t)
	}
	return p
}

func (l listing[T]) orderedBy() string {
	return l.order + " " + string(cmp.Or(l.direction, gen.SortDescending))
}

func (l listing[T]) compare(a, b place) int {
	order := cmp.Or(strings.Compare(a.Key, b.Key), cmp.Compare(a.Seq, b.Seq))
	if l.direction != gen.SortAscending {
		return -order
	}
	return order
}

// page returns one page, and the offset of the next or 0.
func (l listing[T]) page(all []T) ([]T, int) {
	return l.stretch(l.sorted(all), l.offset)
}

// stretch cuts a page out of what is listed.
func (l listing[T]) stretch(kept []T, from int) ([]T, int) {
	limit := l.limit
	if limit <= 0 {
		limit = defaultLimit
	}
	start := min(max(from, 0), len(kept))
	end := start + min(limit, len(kept)-start)
	next := end
	if end == len(kept) {
		next = 0
	}
	return kept[start:end], next
}

// paged is a page of a list that has both styles of paging.
type paged[T any] struct {
	items  []T
	offset int    // of the next page, or 0
	cursor string // likewise, or empty
}

// pages returns one page. One that is asked for by cursor begins behind the
// last entry of the page before, also when others came or went meanwhile.
func (l listing[T]) pages(all []T) (paged[T], error) {
	kept := l.sorted(all)
	from := l.offset
	if l.cursor != "" {
		last, err := l.decode()
		if err != nil {
			return paged[T]{}, err
		}
		from = slices.IndexFunc(kept, func(t T) bool { return l.compare(l.place(t), last) > 0 })
		if from < 0 {
			from = len(kept)
		}
	}
	items, next := l.stretch(kept, from)
	p := paged[T]{items: items}
	if next == 0 {
		return p, nil
	}
	if l.cursor == "" {
		p.offset = next
	}
	data, err := json.Marshal(l.place(items[len(items)-1]))
	p.cursor = base64.RawURLEncoding.EncodeToString(data)
	return p, err
}

func (l listing[T]) decode() (p place, err error) {
	data, err := base64.RawURLEncoding.DecodeString(l.cursor)
	if err == nil {
		err = json.Unmarshal(data, &p)
	}
	if err != nil || p.Order != l.orderedBy() {
		return p, invalidFields(fieldError("cursor does not belong to this list", []any{"query", "cursor"}))
	}
	return p, nil
}

func byName[T entity](t T) string { return t.self().name }

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
