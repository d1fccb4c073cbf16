package sandboxclient

import (
	"context"
	"sync"
	"time"
)

// Sandbox is a handle on one sandbox. It is safe for concurrent use.
type Sandbox struct {
	c *Client

	mu   sync.Mutex
	info Info

	trunk trunk
}

// Name is the display name, as last known.
func (s *Sandbox) Name() string { return s.Info().Name }

// Info is the description of the sandbox, as last received; see
// [Sandbox.Refresh]. It sends nothing. What it refers to must not be modified.
func (s *Sandbox) Info() Info {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.info
}

// set takes over a description; an answer without a name is about this
// sandbox all the same.
func (s *Sandbox) set(info Info) Info {
	s.mu.Lock()
	defer s.mu.Unlock()
	if info.Name == "" {
		info.Name = s.info.Name
	}
	s.info = info
	return info
}

func (s *Sandbox) change(f func(*Info)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(&s.info)
}

// Refresh reads the description of the sandbox anew (GET /boxes/{name}).
func (s *Sandbox) Refresh(ctx context.Context) (Info, error) {
	fresh, err := s.c.Get(ctx, s.Name())
	if err != nil {
		return Info{}, err
	}
	return s.set(fresh.Info()), nil
}

// Update changes the sandbox; see [Client.Update]. After a rename the handle
// goes by the new name.
func (s *Sandbox) Update(ctx context.Context, update *SandboxUpdate) (Info, error) {
	fresh, err := s.c.Update(ctx, s.Name(), update)
	if err != nil {
		return Info{}, err
	}
	return s.set(fresh.Info()), nil
}

// Status asks for the state of the sandbox; see [Client.Status].
func (s *Sandbox) Status(ctx context.Context) (*StatusReport, error) {
	report, err := s.c.Status(ctx, s.Name())
	if err == nil {
		s.change(func(i *Info) { i.Status, i.StatusMessage = report.Status, report.StatusMessage })
	}
	return report, err
}

// Start starts the sandbox after a stop or a failure and waits until it is
// ready, as [Sandbox.WaitReady] does.
func (s *Sandbox) Start(ctx context.Context, opts *WaitOptions) error {
	fresh, err := s.c.Start(ctx, s.Name())
	if err != nil {
		return err
	}
	s.set(fresh.Info())
	if pointed(opts).NoWait {
		return nil
	}
	return s.WaitReady(ctx, opts)
}

// Stop stops the sandbox; see [Client.Stop].
func (s *Sandbox) Stop(ctx context.Context) error {
	if err := s.c.Stop(ctx, s.Name()); err != nil {
		return err
	}
	s.change(func(i *Info) { i.Status = StatusStopped })
	return nil
}

// Delete deletes the sandbox; see [Client.Delete].
func (s *Sandbox) Delete(ctx context.Context) error { return s.c.Delete(ctx, s.Name()) }

// WaitReady polls the state of the sandbox until it is ready, and refreshes
// the handle. It fails with a [WaitError]: [ErrProvision] when the sandbox
// failed, [ErrTimeout] when the context or the timeout ended first. Errors of
// the requests end the wait.
func (s *Sandbox) WaitReady(ctx context.Context, opts *WaitOptions) error {
	return pointed(opts).poll(ctx, time.Second, func() (done bool, err error) {
		report, err := s.Status(ctx)
		if err != nil {
			return true, s.waitEnded(ctx, err)
		}
		switch report.Status {
		case StatusReady:
			_, err := s.Refresh(ctx)
			return true, err
		case StatusFailed:
			return true, s.waitError(ErrProvision, nil)
		case StatusProvisioning, StatusStopped, StatusDeleting:
		}
		return false, nil
	}, func(cause error) error { return s.waitError(ErrTimeout, cause) })
}

// waitEnded tells the end of the context from other errors.
func (s *Sandbox) waitEnded(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		return err
	}
	return s.waitError(ErrTimeout, ctx.Err())
}

func (s *Sandbox) waitError(kind, cause error) error {
	info := s.Info()
	return &WaitError{
		ResourceType:  resourceSandbox,
		Name:          info.Name,
		LastStatus:    info.Status,
		StatusMessage: info.StatusMessage,
		kind:          kind,
		cause:         cause,
	}
}
