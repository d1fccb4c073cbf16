package sandboxclient

import (
	"context"
	"iter"
)

// page is one answer of a list.
type page[T any] struct {
	items []T
	next  int // offset of the next page; 0 on the last
}

// pages yields the items of a list, fetching as the caller goes on. An error
// comes once, last.
func pages[T any](ctx context.Context, op string, start *int, fetch func(ctx context.Context, offset *int) (page[T], error)) iter.Seq2[*T, error] {
	return func(yield func(*T, error) bool) {
		for offset := start; ; {
			p, err := fetch(ctx, offset)
			if err != nil {
				yield(nil, err)
				return
			}
			for i := range p.items {
				if !yield(&p.items[i], nil) {
					return
				}
			}
			if p.next == 0 {
				return
			}
			if p.next <= pointed(offset) {
				yield(nil, &APIError{Op: op, Message: "the server's pages go round in circles", kinds: kinds(ErrProtocol)})
				return
			}
			offset = &p.next
		}
	}
}

// listRules: nothing can be missing from a list but the API itself.
var listRules = [][]rule{{{status: 404, kinds: kinds(ErrServer)}}, generic}
