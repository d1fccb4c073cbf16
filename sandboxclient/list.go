package sandboxclient

import (
	"context"
	"iter"
	"net/http"
)

// list yields the items of a list, fetching page by page as the caller goes
// on. An error comes once, last. The items of an answer and the offset of the
// next page, 0 on the last, come from content.
func list[L, T any](ctx context.Context, name string, start *int, send func(ctx context.Context, offset *int) (*http.Response, error), content func(*L) ([]T, int)) iter.Seq2[*T, error] {
	op := operation{name: name, rules: listRules}
	return func(yield func(*T, error) bool) {
		for offset := start; ; {
			answer, err := fetch[L](ctx, op, func(ctx context.Context) (*http.Response, error) { return send(ctx, offset) })
			if err != nil {
				yield(nil, err)
				return
			}
			items, next := content(answer)
			for i := range items {
				if !yield(&items[i], nil) {
					return
				}
			}
			if next == 0 {
				return
			}
			if next <= pointed(offset) {
				yield(nil, &APIError{Op: name, Message: "the server's pages go round in circles", kinds: kinds(ErrProtocol)})
				return
			}
			offset = &next
		}
	}
}

// listRules: nothing can be missing from a list but the API itself.
var listRules = [][]rule{{{status: http.StatusNotFound, kinds: kinds(ErrServer)}}, generic}
