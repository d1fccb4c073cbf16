package sandboxclient

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/langsandbox/sandbox-go/internal/transport"
)

// operation is one call of the API.
type operation struct {
	name     string // such as "create sandbox"
	resource string // name of what it is about, for errors
	effect   bool   // a lost answer leaves its outcome unknown
	rules    [][]rule
	accept   int // a status that is no error, besides success
	call     transport.Call
}

// maxAnswer bounds an answer that is held in memory. The output of a command
// comes in one.
const maxAnswer = 64 << 20

// request sends a request by way of the generated client and returns a
// successful answer, whose body the caller closes.
func (op operation) request(ctx context.Context, send func(context.Context) (*http.Response, error)) (*http.Response, error) {
	resp, err := send(transport.WithCall(ctx, op.call))
	if err != nil {
		e := sendError(op.name, err, op.effect)
		e.Name = op.resource
		return nil, e
	}
	if resp.StatusCode/100 == 2 || resp.StatusCode == op.accept {
		return resp, nil
	}
	defer resp.Body.Close()
	e := readError(op.name, resp)
	e.Name = op.resource
	e.classify(op.rules...)
	return nil, e
}

// run sends a request whose answer has no content that matters.
func (op operation) run(ctx context.Context, send func(context.Context) (*http.Response, error)) error {
	resp, err := op.request(ctx, send)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// fetch sends a request and decodes the answer.
func fetch[T any](ctx context.Context, op operation, send func(context.Context) (*http.Response, error)) (*T, error) {
	resp, err := op.request(ctx, send)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := transport.ReadAll(resp.Body, maxAnswer)
	if err != nil {
		return nil, op.cut(resp, err)
	}
	v := new(T)
	if err := json.Unmarshal(body, v); err != nil {
		return nil, op.broken(resp, "the answer is not the JSON of this API: ", err, ErrProtocol)
	}
	return v, nil
}

// cut reports a success whose content did not arrive.
func (op operation) cut(resp *http.Response, cause error) *APIError {
	switch {
	case errors.Is(cause, transport.ErrTooLarge):
		return op.broken(resp, "", cause, ErrTooLarge)
	case late(cause):
		return op.broken(resp, "the answer was cut off: ", cause, ErrConnection, ErrTimeout)
	default:
		return op.broken(resp, "the answer was cut off: ", cause, ErrConnection)
	}
}

// broken reports a success whose content is of no use.
func (op operation) broken(resp *http.Response, what string, cause error, kinds ...error) *APIError {
	if op.effect {
		kinds = append(kinds, ErrOutcomeUnknown)
	}
	return &APIError{Op: op.name, Name: op.resource, StatusCode: resp.StatusCode, Message: what + cause.Error(), kinds: kinds, cause: cause}
}

// answerMargin is what a waiting request may take longer than the server
// waits.
const answerMargin = 30 * time.Second

// waitSeconds is how long the server is to wait: as asked for, else as the
// context allows, else as long as clients of this API do by default.
func waitSeconds(ctx context.Context, asked, byDefault, low, high int) int {
	if asked != 0 {
		return asked
	}
	deadline, ok := ctx.Deadline()
	if !ok {
		return byDefault
	}
	return min(max(int(time.Until(deadline)/time.Second), low), high)
}
