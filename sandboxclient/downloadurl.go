package sandboxclient

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/langsandbox/sandbox-go/gen"
	"github.com/langsandbox/sandbox-go/internal/transport"
)

// DownloadURLOptions says how a link serves its file. A nil pointer is the
// zero value: for ever, as an attachment, with the media type of its name.
type DownloadURLOptions struct {
	// ExpiresIn is how long the link is good, in whole seconds, rounded up; 0
	// is for ever.
	ExpiresIn time.Duration
	// ContentType is the media type; empty is that of the file's name.
	ContentType string
	// ContentDisposition is attachment, as if empty, or inline.
	ContentDisposition string
	// NoCSPSandbox serves the file without the Content-Security-Policy that
	// locks a page in. Only for pages that are trusted.
	NoCSPSandbox bool
	// CSPSandboxFlags are what a page that is locked in may do all the same.
	CSPSandboxFlags []CSPSandboxFlag
	// CSPSourceBundles are the networks that a page may load from; empty is
	// what the server allows by itself.
	CSPSourceBundles []CSPSourceBundle
}

// DownloadURL makes a link to a file (POST /boxes/{name}/download-url), which
// lets whoever has it read the file without a key, and cannot be taken back
// before it expires. It is bound to the path and not to what is there now; a
// link to nothing can be made. opts may be nil. Errors: [ErrInvalid],
// [ErrNotFound] without the sandbox, [ErrUnsupported].
func (s *Sandbox) DownloadURL(ctx context.Context, path string, opts *DownloadURLOptions) (*DownloadURL, error) {
	op, err := named("make download link in sandbox", s.Name(), serviceRules)
	if err != nil {
		return nil, err
	}
	if err := checkPath(op.name, path); err != nil {
		return nil, err
	}
	body, err := pointed(opts).request(op.name, path)
	if err != nil {
		return nil, err
	}
	op.call.Repeat = transport.RepeatSafe // a link too many does no harm
	return fetch[DownloadURL](ctx, op, func(ctx context.Context) (*http.Response, error) {
		return s.c.api.CreateDownloadURL(ctx, op.resource, body)
	})
}

// request is the options as the server takes them, checked.
func (o DownloadURLOptions) request(op, path string) (gen.CreateDownloadURL, error) {
	ck := checks{op: op}
	if o.ExpiresIn < 0 {
		ck.fail("lifetime", "is %v; it cannot be negative, and 0 is for ever", o.ExpiresIn)
	}
	if o.NoCSPSandbox && len(o.CSPSandboxFlags) > 0 {
		ck.fail("CSP sandbox flags", "have no place without the CSP sandbox")
	}
	for argument, v := range map[string]string{"content type": o.ContentType, "content disposition": o.ContentDisposition} {
		if strings.ContainsFunc(v, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			ck.fail(argument, "holds a control character")
		}
	}
	body := gen.CreateDownloadURL{
		Path: path, ExpiresInSeconds: wholeSeconds(o.ExpiresIn),
		ContentType: o.ContentType, ContentDisposition: o.ContentDisposition,
		CSPSandboxFlags: slices.Clone(o.CSPSandboxFlags), CSPSourceBundles: slices.Clone(o.CSPSourceBundles),
	}
	if o.NoCSPSandbox {
		body.CSPSandbox = new(false)
	}
	return body, ck.err
}
