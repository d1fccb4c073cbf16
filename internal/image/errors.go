package image

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"syscall"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// Why an image could not be had. An *Error matches one of them, or the error
// of its context.
var (
	ErrInvalidReference = errors.New("invalid image reference")
	ErrNotFound         = errors.New("image not found")
	ErrUnauthorized     = errors.New("registry refuses access")
	ErrUnavailable      = errors.New("registry is not available")
	ErrInsecure         = errors.New("registry without TLS")
	ErrNoPlatform       = errors.New("no image for this platform")
	ErrTooLarge         = errors.New("image is too large")
	ErrNoSpace          = errors.New("no space left for images")
	ErrInvalidImage     = errors.New("invalid image")
)

// ErrClosed reports a call on a closed store.
var ErrClosed = errors.New("image store is closed")

// Error is an image that could not be had.
type Error struct {
	Reference string
	Kind      error // one of the errors above
	Err       error // what happened, or nil
}

// Error says which image and why. It holds no credentials.
func (e *Error) Error() string {
	text := "image " + e.Reference + ": "
	switch {
	case e.Err == nil:
		return text + e.Kind.Error()
	case e.Kind == nil:
		return text + describe(e.Err)
	}
	return text + e.Kind.Error() + ": " + describe(e.Err)
}

// Unwrap returns the kind and the cause.
func (e *Error) Unwrap() []error {
	var all []error
	for _, err := range []error{e.Kind, e.Err} {
		if err != nil {
			all = append(all, err)
		}
	}
	return all
}

// problem is a failure whose kind is known where it happens.
type problem struct {
	kind error
	text string
}

func (p *problem) Error() string { return p.text }
func (p *problem) Unwrap() error { return p.kind }

// networkError marks what went wrong on the way from a registry.
type networkError struct{ err error }

func (e *networkError) Error() string { return e.err.Error() }
func (e *networkError) Unwrap() error { return e.err }

// describe is the text of an error without what URLs may carry: a registry
// sends downloads on to signed ones.
func describe(err error) string {
	if answer, ok := errors.AsType[*transport.Error](err); ok {
		parts := []string{http.StatusText(answer.StatusCode)}
		const most = 3
		for _, d := range answer.Errors[:min(most, len(answer.Errors))] {
			parts = append(parts, clip(string(d.Code)+" "+d.Message))
		}
		return strings.Join(parts, ": ")
	}
	if failed, ok := errors.AsType[*url.Error](err); ok {
		where := "registry"
		if u, parsed := url.Parse(failed.URL); parsed == nil {
			where = u.Host
		}
		return failed.Op + " " + where + ": " + failed.Err.Error()
	}
	return err.Error()
}

// clip bounds what is repeated of others.
func clip(s string) string {
	const most = 200
	if len(s) > most {
		return s[:most] + "..."
	}
	return s
}

// classify says which kind an error is of; one about a context has none.
func classify(ctx context.Context, reference string, err error) error {
	if err == nil {
		return nil
	}
	if done, ok := errors.AsType[*Error](err); ok {
		return done
	}
	failed := &Error{Reference: reference, Err: err}
	if ctx.Err() != nil {
		failed.Err = context.Cause(ctx)
		return failed
	}
	failed.Kind = kindOf(err)
	return failed
}

func kindOf(err error) error {
	for _, kind := range []error{
		ErrInvalidReference, ErrNotFound, ErrUnauthorized, ErrUnavailable, ErrInsecure,
		ErrNoPlatform, ErrTooLarge, ErrNoSpace, ErrInvalidImage, ErrClosed, ErrUnsupported,
	} {
		if errors.Is(err, kind) {
			return kind
		}
	}
	if answer, ok := errors.AsType[*transport.Error](err); ok {
		switch answer.StatusCode {
		case http.StatusUnauthorized, http.StatusForbidden:
			return ErrUnauthorized
		case http.StatusNotFound:
			return ErrNotFound
		}
		return ErrUnavailable
	}
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return ErrNoSpace
	case isNetwork(err):
		return ErrUnavailable
	}
	if _, ok := errors.AsType[syscall.Errno](err); ok {
		return nil // this machine's fault, not the image's
	}
	return ErrInvalidImage
}

func isNetwork(err error) bool {
	if _, ok := errors.AsType[*networkError](err); ok {
		return true
	}
	_, ok := errors.AsType[*url.Error](err)
	return ok
}
