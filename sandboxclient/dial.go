package sandboxclient

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/coder/websocket"

	"github.com/langsandbox/sandbox-go/internal/transport"
)

// dialer opens WebSockets to one sandbox.
type dialer struct {
	doer   transport.Doer
	path   string // below the data-plane address
	url    string
	op     operation
	logger *slog.Logger
	policy CommandPolicy
	values context.Context //nolint:containedctx // only the values of the call that asked for the command
}

// What is below a data-plane address.
const (
	commandStream = "/execute/ws"
	tunnelStream  = "/tunnel"
)

// dialer prepares op's connections to the path. It sends nothing.
func (s *Sandbox) dialer(ctx context.Context, op operation, path string) (*dialer, error) {
	base, err := s.dataplaneURL(&op)
	if err != nil {
		return nil, err
	}
	op.call.Upgrade = true
	stream := *base
	stream.Path += path
	if stream.RawPath != "" {
		stream.RawPath += path
	}
	return &dialer{
		doer:   s.c.doer,
		path:   path,
		url:    stream.String(),
		op:     op,
		logger: s.c.logger,
		policy: s.c.commands,
		values: transport.WithCall(context.WithoutCancel(ctx), op.call),
	}, nil
}

// dial makes one connection to a command. The context bounds the handshake
// only.
func (d *dialer) dial(ctx context.Context) (*line, error) {
	var ahead *readAhead
	conn, release, err := d.connect(ctx, func(rwc io.ReadWriteCloser) io.ReadWriteCloser {
		ahead = &readAhead{ReadWriteCloser: rwc}
		return ahead
	})
	if err != nil {
		return nil, err
	}
	conn.SetReadLimit(d.policy.FrameLimit)
	return newLine(conn, ahead, release, d.policy), nil
}

// connect makes a WebSocket, over what wrap makes of the connection. Whoever
// closes it calls release. The context bounds the handshake only.
func (d *dialer) connect(ctx context.Context, wrap func(io.ReadWriteCloser) io.ReadWriteCloser) (_ *websocket.Conn, release context.CancelCauseFunc, _ error) {
	life, cancel := context.WithCancelCause(d.values)
	stop := context.AfterFunc(ctx, func() { cancel(context.Cause(ctx)) })
	up := &upgrade{d: d, wrap: wrap}
	conn, _, err := websocket.Dial(life, d.url, &websocket.DialOptions{ //nolint:bodyclose,contextcheck // it is the connection, which outlives the handshake
		HTTPClient:      &http.Client{Transport: up},
		CompressionMode: websocket.CompressionDisabled,
	})
	if !stop() && err == nil {
		_ = conn.CloseNow()
		err = context.Cause(ctx)
	}
	if err != nil {
		cancel(err)
		return nil, nil, up.failure(ctx, err)
	}
	return conn, cancel, nil
}

// upgrade carries one handshake through the client's chain, and remembers what
// went wrong before other layers put words around it.
type upgrade struct {
	d        *dialer
	err      *APIError
	switched bool
	wrap     func(io.ReadWriteCloser) io.ReadWriteCloser
}

func (u *upgrade) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := u.d.doer.Do(req)
	if err != nil {
		u.err = sendError(u.d.op.name, err, false)
		u.err.Name = u.d.op.resource
		if strings.Contains(err.Error(), "malformed HTTP") {
			u.err.Message = "no valid HTTP answer; the sandbox may be stopped or unreachable: " + u.err.Message
		}
		return nil, u.err
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		defer resp.Body.Close()
		u.err = u.d.refusal(resp)
		return nil, u.err
	}
	u.switched = true
	if rwc, ok := resp.Body.(io.ReadWriteCloser); ok {
		resp.Body = u.wrap(rwc)
		// A handshake that is wrong after all is read to its end, which need
		// not come.
		context.AfterFunc(req.Context(), func() { _ = rwc.Close() })
	}
	return resp, nil
}

// refusal makes an error of an answer that is not 101.
func (d *dialer) refusal(resp *http.Response) *APIError {
	e := readError(d.op.name, resp)
	e.Name = d.op.resource
	e.classify(dataplane)
	if resp.StatusCode == http.StatusNotFound {
		e.ResourceType = resourceSandbox
		what := "command stream"
		if d.path == tunnelStream {
			what = "tunnel"
		}
		e.Message = fmt.Sprintf("no %s: %s returned 404 (%s)", what, strings.TrimPrefix(d.path, "/"), e.Message)
	}
	return e
}

// failure is the error of a dial that failed with err.
func (u *upgrade) failure(ctx context.Context, err error) error {
	cause := context.Cause(ctx)
	switch {
	case errors.Is(cause, errOpenTimeout):
		return u.d.timedOut()
	case cause != nil:
		return cause
	case u.err != nil:
		return u.err
	case u.switched:
		return u.d.protocolError("the answer to the handshake is no WebSocket: " + err.Error())
	default:
		return sendError(u.d.op.name, err, false)
	}
}

var errOpenTimeout = errors.New("no connection in time")

func (d *dialer) timedOut() *APIError {
	return &APIError{
		Op: d.op.name, Name: d.op.resource, Message: errOpenTimeout.Error(),
		kinds: kinds(ErrConnection, ErrTimeout), cause: errOpenTimeout,
	}
}

// protocolError is something a server of this API does not say.
func (d *dialer) protocolError(message string) *APIError {
	return &APIError{Op: d.op.name, Name: d.op.resource, Message: message, kinds: kinds(ErrProtocol, ErrOperation, ErrOutcomeUnknown)}
}

// permanent reports whether an attempt that failed with err would fail again.
func permanent(err error) bool {
	if api, ok := errors.AsType[*APIError](err); ok && api.StatusCode != 0 {
		switch api.StatusCode {
		case http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusBadGateway,
			http.StatusServiceUnavailable, http.StatusGatewayTimeout:
			return false
		default:
			return true
		}
	}
	var certificate *tls.CertificateVerificationError
	var authority x509.UnknownAuthorityError
	var hostname x509.HostnameError
	var invalid x509.CertificateInvalidError
	var record tls.RecordHeaderError
	var alert tls.AlertError
	return errors.Is(err, ErrInvalid) || errors.Is(err, ErrProtocol) ||
		errors.As(err, &certificate) || errors.As(err, &authority) || errors.As(err, &hostname) ||
		errors.As(err, &invalid) || errors.As(err, &record) || errors.As(err, &alert)
}

// retryAfter is the pause that the server asks for.
func retryAfter(err error) time.Duration {
	if api, ok := errors.AsType[*APIError](err); ok {
		return api.RetryAfter
	}
	return 0
}

// dataplaneURL is the data-plane address; it completes op with what the
// transport must know of it.
func (s *Sandbox) dataplaneURL(op *operation) (*url.URL, error) {
	if _, err := s.dataplane(op); err != nil {
		return nil, err
	}
	return op.call.Dataplane, nil
}
