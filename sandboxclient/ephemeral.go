package sandboxclient

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"sync"
	"time"

	"github.com/langsandbox/sandbox-go/internal/transport"
)

// closeTimeout bounds the deletion of an ephemeral sandbox.
const closeTimeout = 30 * time.Second

// Ephemeral is a sandbox that [Ephemeral.Close] deletes. It is safe for
// concurrent use.
type Ephemeral struct {
	*Sandbox

	ctx context.Context //nolint:containedctx // values for the deletion; never cancelled

	mu   sync.Mutex
	kept bool
	gone bool
}

// Ephemeral makes a sandbox, as [Client.Create] does, that lives until Close.
// When the request has no name, one is chosen before it is sent, so that a
// sandbox whose answer was lost is found and deleted before the error returns.
func (c *Client) Ephemeral(ctx context.Context, req *CreateSandbox) (*Ephemeral, error) {
	body := pointed(req)
	if body.Name == "" {
		body.Name = ephemeralName()
	}
	detached := transport.WithoutHeader(context.WithoutCancel(ctx))
	sb, err := c.Create(ctx, &body)
	if err != nil {
		var api *APIError
		if !errors.As(err, &api) || !api.unanswered() {
			return nil, err
		}
		return nil, errors.Join(err, c.deleteLost(detached, body.Name))
	}
	e := &Ephemeral{Sandbox: sb, ctx: detached}
	wait := body.WaitForReady == nil || *body.WaitForReady
	if wait && sb.Info().Status != StatusReady {
		if err := sb.WaitReady(ctx, nil); err != nil {
			return nil, errors.Join(err, e.Close()) //nolint:contextcheck // the deletion outlives the context
		}
	}
	return e, nil
}

func ephemeralName() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return "ephemeral-" + hex.EncodeToString(b[:])
}

// deleteLost deletes a sandbox whose create was sent and not answered. The
// create may still be on its way, so that not found is only believed when it
// has been said for a while.
func (c *Client) deleteLost(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, closeTimeout)
	defer cancel()
	for pause := 50 * time.Millisecond; ; pause *= 2 {
		err := c.Delete(ctx, name)
		if err == nil {
			return nil
		}
		if !errors.Is(err, ErrNotFound) {
			return err
		}
		if pause > time.Second {
			return nil
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
}

// Close deletes the sandbox, unless it was kept. It does so also when the
// context of its creation is cancelled, within 30 seconds. A sandbox that is
// already gone is no error. After an error Close may be called again; after
// success it does nothing.
func (e *Ephemeral) Close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.kept || e.gone {
		return nil
	}
	ctx, cancel := context.WithTimeout(e.ctx, closeTimeout)
	defer cancel()
	if err := e.Delete(ctx); err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	e.gone = true
	return nil
}

// Keep calls the deletion off and returns the sandbox, which is then the
// caller's to delete.
func (e *Ephemeral) Keep() *Sandbox {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.kept = true
	return e.Sandbox
}

// Use makes a sandbox, calls f with it and deletes it, also when f panics. It
// returns the errors of f and of the deletion, joined.
func (c *Client) Use(ctx context.Context, req *CreateSandbox, f func(ctx context.Context, sb *Sandbox) error) (err error) {
	e, err := c.Ephemeral(ctx, req)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.Close()) }() //nolint:contextcheck // the deletion outlives the context
	return f(ctx, e.Sandbox)
}
