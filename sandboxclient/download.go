package sandboxclient

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/langsandbox/sandbox-go/gen"
)

// Range is a part of a file, in bytes. The zero value is all of it.
type Range struct {
	kind          rangeKind
	start, length int64
}

type rangeKind int

const (
	rangeAll rangeKind = iota
	rangeFrom
	rangePart
	rangeLast
)

// RangeFrom is all from start on.
func RangeFrom(start int64) Range { return Range{kind: rangeFrom, start: start} }

// RangePart is length bytes from start on, at least one.
func RangePart(start, length int64) Range {
	return Range{kind: rangePart, start: start, length: length}
}

// RangeLast is the last n bytes, at least one.
func RangeLast(n int64) Range { return Range{kind: rangeLast, length: n} }

// String is the range as HTTP has it, empty for all of a file.
func (r Range) String() string {
	switch r.kind {
	case rangeFrom:
		return fmt.Sprintf("bytes=%d-", r.start)
	case rangePart:
		return fmt.Sprintf("bytes=%d-%d", r.start, r.start+r.length-1)
	case rangeLast:
		return fmt.Sprintf("bytes=-%d", r.length)
	default:
		return ""
	}
}

func (r Range) check(ck *checks) {
	ck.atLeastZero("start of the range", r.start)
	if (r.kind == rangePart || r.kind == rangeLast) && r.length < 1 {
		ck.fail("length of the range", "is %d; it must be at least 1", r.length)
	}
	if r.start+r.length < r.start {
		ck.fail("range", "ends beyond all files")
	}
}

// is reports whether a part is what the range asks for, or as much of that as
// there is.
func (r Range) is(p placed) bool {
	from, to := r.start, p.total // to is -1 if that is not known
	switch r.kind {
	case rangeAll:
		return false
	case rangeFrom:
	case rangePart:
		if to < 0 {
			return p.start == from && p.end <= from+r.length
		}
		to = min(from+r.length, to)
	case rangeLast:
		if to < 0 {
			return p.end-p.start <= r.length
		}
		from = max(0, to-r.length)
	}
	return p.start == from && (to < 0 || p.end == to)
}

// DownloadOptions says what to read, and when. A nil pointer is the zero value.
type DownloadOptions struct {
	// Range is the part to read; the zero value is all.
	Range Range
	// IfRange is the ETag of the content that the range is of: of a file that
	// has changed, all is read, and [Download.Partial] is false.
	IfRange string
	// IfNoneMatch is the ETag of a copy that the caller has: of a file that
	// has not changed, nothing is read, and [Download.NotModified] is true.
	IfNoneMatch string
}

// Download is a file that is being read. It is for one goroutine.
//
// If its connection is lost and the server named the content by a strong ETag,
// it goes on from there by itself, with Range and If-Range; [ErrChanged] is a
// file that is another one by then.
type Download struct {
	ctx  context.Context //nolint:containedctx // bounds the reading, as documented
	op   operation
	get  func(ctx context.Context, p gen.DownloadParams) (*http.Response, error)
	body io.ReadCloser
	err  error // what ended the reading

	info        *FileInfo
	start       int64
	pos, end    int64 // of what is read next, and after the last byte; -1 if that is not known
	partial     bool
	notModified bool
	failures    int // connections in a row that brought nothing
}

// Info describes the whole file.
func (d *Download) Info() *FileInfo { return d.info }

// Start is the offset in the file of the first byte read.
func (d *Download) Start() int64 { return d.start }

// Partial reports whether the bytes are those of the range that was asked for,
// and not the whole file, which a server without ranges sends instead, and any
// server of a file that does not match IfRange.
func (d *Download) Partial() bool { return d.partial }

// NotModified reports that the file is that of IfNoneMatch, and there is
// nothing to read.
func (d *Download) NotModified() bool { return d.notModified }

// Download opens a file for reading (GET /download), nothing of which is held
// in memory. The caller closes it; the context bounds the reading too. A range
// that starts past the end of the file is [ErrOperation]. Errors, of the
// reading as well, are *fs.PathError.
func (s *Sandbox) Download(ctx context.Context, path string, opts *DownloadOptions) (*Download, error) {
	d, err := s.open(ctx, path, pointed(opts))
	if err != nil {
		return nil, readPathError(path, err)
	}
	return d, nil
}

func (s *Sandbox) open(ctx context.Context, path string, o DownloadOptions) (*Download, error) {
	op := operation{name: "read file", rules: [][]rule{readRules, dataplane}, accept: http.StatusNotModified}
	ck := checks{op: op.name, err: checkPath(op.name, path)}
	o.Range.check(&ck)
	ck.etag("IfRange", o.IfRange)
	ck.etag("IfNoneMatch", o.IfNoneMatch)
	if ck.err != nil {
		return nil, ck.err
	}
	api, err := s.dataplane(&op)
	if err != nil {
		return nil, err
	}
	op.call.Timeout = -1
	d := &Download{ctx: ctx, op: op, get: func(ctx context.Context, p gen.DownloadParams) (*http.Response, error) {
		p.Path = path
		return api.Download(ctx, &p, identity)
	}}
	resp, err := d.request(gen.DownloadParams{Range: o.Range.String(), IfRange: o.IfRange, IfNoneMatch: o.IfNoneMatch})
	if err != nil {
		return nil, err
	}
	if err := d.begin(path, resp, o); err != nil {
		return nil, errors.Join(err, resp.Body.Close())
	}
	return d, nil
}

// begin notes what the first answer says.
func (d *Download) begin(path string, resp *http.Response, o DownloadOptions) error {
	d.body, d.info = resp.Body, fileInfo(path, resp)
	d.end = resp.ContentLength
	if d.end == 0 && resp.Header.Get("Content-Length") == "" {
		d.end = -1 // transports that are made by hand leave it out
	}
	switch resp.StatusCode {
	case http.StatusNotModified:
		if o.IfNoneMatch == "" {
			return d.op.broken(resp, "", errUnasked, ErrProtocol)
		}
		d.notModified, d.end, d.info.size = true, 0, -1
	case http.StatusPartialContent:
		r, ok := contentRange(resp.Header.Get("Content-Range"))
		if !ok || !o.Range.is(r) {
			return d.op.broken(resp, "", fmt.Errorf("a part with the Content-Range %q", resp.Header.Get("Content-Range")), ErrProtocol)
		}
		d.partial, d.start, d.pos, d.end = true, r.start, r.start, r.end
	}
	return nil
}

var errUnasked = errors.New("the file is said not to have changed, which nobody asked for")

// request asks for the file or a part of it.
func (d *Download) request(p gen.DownloadParams) (*http.Response, error) {
	var whole string
	resp, err := d.op.request(d.ctx, func(ctx context.Context) (*http.Response, error) {
		resp, err := d.get(ctx, p)
		if resp != nil && resp.StatusCode == http.StatusRequestedRangeNotSatisfiable {
			whole = resp.Header.Get("Content-Range")
		}
		return resp, err
	})
	if e, ok := errors.AsType[*APIError](err); ok && e.Message == http.StatusText(http.StatusRequestedRangeNotSatisfiable) {
		e.Message = strings.TrimSpace("the range starts past the end of the file " + whole)
	}
	return resp, err
}

// Read reads on. What it reports is final.
func (d *Download) Read(p []byte) (int, error) {
	for d.err == nil {
		n, err := d.body.Read(p)
		d.pos += int64(n)
		if n > 0 {
			d.failures = 0
		}
		switch over := d.pos - d.end; {
		case d.end >= 0 && over > 0:
			d.err = readPathError(d.info.path, &APIError{Op: d.op.name, Name: d.op.resource, Message: "more came than the part that was announced", kinds: kinds(ErrProtocol)})
			return n - int(over), d.err
		case err == nil:
			return n, nil
		case d.end >= 0 && over == 0, d.end < 0 && errors.Is(err, io.EOF):
			d.err = io.EOF // also if the connection is lost just then
			return n, io.EOF
		case errors.Is(err, io.EOF):
			err = io.ErrUnexpectedEOF
		}
		if err := d.resume(err); err != nil {
			d.err = readPathError(d.info.path, err)
		}
		if n > 0 {
			return n, nil
		}
	}
	return 0, d.err
}

// writeBuffer is large enough for system calls not to count.
const writeBuffer = 128 << 10

// WriteTo writes all that is left to w, as io.Copy has it do.
func (d *Download) WriteTo(w io.Writer) (int64, error) {
	buf := make([]byte, writeBuffer)
	for written := int64(0); ; {
		n, err := d.Read(buf)
		if n > 0 {
			m, writeErr := w.Write(buf[:n])
			written += int64(m)
			if writeErr == nil && m < n {
				writeErr = io.ErrShortWrite
			}
			if writeErr != nil {
				return written, writeErr
			}
		}
		if errors.Is(err, io.EOF) {
			return written, nil
		}
		if err != nil {
			return written, err
		}
	}
}

// Close ends the reading. It may be called more than once.
func (d *Download) Close() error {
	if d.err == nil {
		d.err = readPathError(d.info.path, fs.ErrClosed)
	}
	return d.body.Close()
}

const (
	resumeRetries  = 5
	resumeDelay    = 100 * time.Millisecond
	resumeMaxDelay = 5 * time.Second
)

// resume goes on in a new connection, or says why it cannot.
func (d *Download) resume(cause error) error {
	_ = d.body.Close()
	d.body = http.NoBody
	if !strings.HasPrefix(d.info.etag, `"`) {
		return sendError(d.op.name, cause, false)
	}
	for {
		d.failures++
		if d.ctx.Err() != nil || d.failures > resumeRetries {
			return sendError(d.op.name, cause, false)
		}
		if err := pause(d.ctx, min(resumeDelay<<(d.failures-1), resumeMaxDelay)); err != nil {
			return sendError(d.op.name, err, false)
		}
		rest := "bytes=" + strconv.FormatInt(d.pos, 10) + "-"
		if d.end >= 0 {
			rest += strconv.FormatInt(d.end-1, 10)
		}
		resp, err := d.request(gen.DownloadParams{Range: rest, IfRange: d.info.etag})
		switch {
		case err == nil:
			return d.goOn(resp, cause)
		case !errors.Is(err, ErrConnection) && !errors.Is(err, ErrUnavailable):
			return err
		}
		cause = err
	}
}

// goOn takes the rest of the file, if it is that.
func (d *Download) goOn(resp *http.Response, cause error) error {
	r, ok := contentRange(resp.Header.Get("Content-Range"))
	same := resp.Header.Get("ETag") == d.info.etag
	if same && ok && resp.StatusCode == http.StatusPartialContent && r.start == d.pos && (d.end < 0 || r.end == d.end) {
		d.body, d.end = resp.Body, r.end
		return nil
	}
	_ = resp.Body.Close()
	if same {
		return sendError(d.op.name, cause, false) // a server without ranges
	}
	return d.op.broken(resp, "the connection was lost, and then ", errChanged, ErrChanged)
}

var errChanged = errors.New("the file had changed")

// pause waits, or fails with the context.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
