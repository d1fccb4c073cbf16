package sandboxclient

import (
	"context"
	"errors"
	"iter"
	"net/http"

	"github.com/langsandbox/sandbox-go/gen"
)

// paging are the parameters of a list that say where it goes on: at an offset,
// or at a cursor, as newer servers have it and call the most items of a page
// by another name. A list of one style leaves the other's out.
type paging struct {
	limit, offset, pageSize **int
	cursor                  **string
}

// at moves the parameters on to an offset.
func (p paging) at(offset int) { *p.offset = &offset }

// after moves the parameters on to a cursor.
func (p paging) after(cursor string) {
	*p.cursor = &cursor
	p.settle()
}

// settle leaves the parameters of one style, as the other's do not go with a
// cursor.
func (p paging) settle() {
	if p.cursor == nil || *p.cursor == nil {
		return
	}
	if p.limit == nil {
		return
	}
	if *p.pageSize == nil {
		*p.pageSize = *p.limit
	}
	*p.limit, *p.offset = nil, nil
}

// page is one answer to a list. Offset 0 and an empty cursor are the end.
type page[T any] struct {
	items  []T
	offset int
	cursor string
}

// items are those of an answer that may have them under their older name.
func items[T any](items, twin []T) []T {
	if len(items) > 0 {
		return items
	}
	return twin
}

// list yields the items of a list, fetching page by page as the caller goes
// on. An error comes once, last.
func list[P, L, T any](ctx context.Context, name string, params *P, fields func(*P) paging, send sender[P], content func(*L) page[T]) iter.Seq2[*T, error] {
	return listOf(ctx, operation{name: name, rules: listRules}, params, fields, send, content)
}

// listOf is list of what belongs to something that can be missing.
func listOf[P, L, T any](ctx context.Context, op operation, params *P, fields func(*P) paging, send sender[P], content func(*L) page[T]) iter.Seq2[*T, error] {
	start := pointed(params)
	return func(yield func(*T, error) bool) {
		query := start
		next := fields(&query)
		next.settle()
		seen := map[string]bool{}
		for {
			answer, err := fetch[L](ctx, op, func(ctx context.Context) (*http.Response, error) { return send(ctx, &query) })
			if err != nil {
				yield(nil, err)
				return
			}
			p := content(answer)
			for i := range p.items {
				if !yield(&p.items[i], nil) {
					return
				}
			}
			more, err := p.next(next, seen)
			if err != nil {
				yield(nil, &APIError{Op: op.name, Name: op.resource, Message: err.Error(), kinds: kinds(ErrProtocol)})
				return
			}
			if !more {
				return
			}
		}
	}
}

var errCircle = errors.New("the server's pages go round in circles")

// next moves the parameters on to the page after this one, if there is one.
func (p page[T]) next(params paging, seen map[string]bool) (more bool, err error) {
	byCursor := params.cursor != nil && *params.cursor != nil
	if byCursor {
		seen[**params.cursor] = true
	}
	switch {
	case params.cursor != nil && p.cursor != "":
		if seen[p.cursor] {
			return false, errCircle
		}
		params.after(p.cursor)
	case p.offset == 0 || byCursor:
		return false, nil
	case p.offset <= pointed(*params.offset):
		return false, errCircle
	default:
		params.at(p.offset)
	}
	return true, nil
}

// sender is one of the list operations of the generated client.
type sender[P any] = func(context.Context, *P, ...gen.RequestEditorFn) (*http.Response, error)

// listRules: nothing can be missing from a list but the API itself.
var listRules = [][]rule{{{status: http.StatusNotFound, kinds: kinds(ErrServer)}}, generic}
