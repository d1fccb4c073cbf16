package sandboxclient

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"strings"

	"github.com/langsandbox/sandbox-go/gen"
	"github.com/langsandbox/sandbox-go/internal/transport"
)

// maxReadFile bounds ReadFile.
const maxReadFile = 256 << 20

// ReadFile returns the content of a file (GET /download). Files of more than
// 256 MiB are [ErrTooLarge]: use [Sandbox.Download]. Errors are *fs.PathError
// and match fs.ErrNotExist and fs.ErrPermission.
func (s *Sandbox) ReadFile(ctx context.Context, path string) ([]byte, error) {
	r, err := s.Download(ctx, path)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	data, err := transport.ReadAll(r, maxReadFile)
	if errors.Is(err, transport.ErrTooLarge) {
		err = readPathError(path, &APIError{Op: "read file", Message: err.Error(), kinds: kinds(ErrTooLarge)})
	}
	if err != nil {
		return nil, err
	}
	return data, nil
}

// Download opens a file for reading (GET /download), nothing of which is held
// in memory. The caller closes the reader; the context bounds the reading too.
// Errors, of the reader as well, are *fs.PathError.
func (s *Sandbox) Download(ctx context.Context, path string) (io.ReadCloser, error) {
	op := operation{name: "read file", rules: [][]rule{readRules, dataplane}}
	if err := checkPath(op.name, path); err != nil {
		return nil, readPathError(path, err)
	}
	api, err := s.dataplane(&op)
	if err != nil {
		return nil, readPathError(path, err)
	}
	op.call.Timeout = -1
	resp, err := op.request(ctx, func(ctx context.Context) (*http.Response, error) { //nolint:bodyclose // the reader returned closes it
		return api.Download(ctx, &gen.DownloadParams{Path: path}, identity)
	})
	if err != nil {
		return nil, readPathError(path, err)
	}
	return &download{body: resp.Body, op: op, path: path}, nil
}

// readRules: whatever the code of a 404, the file is not there.
var readRules = []rule{notFound(resourceFile)}

// identity keeps the transport from unpacking a file it asked to have packed:
// the length of an answer is then the length of the file.
func identity(_ context.Context, req *http.Request) error {
	req.Header.Set("Accept-Encoding", "identity")
	return nil
}

type download struct {
	body io.ReadCloser
	op   operation
	path string
}

func (d *download) Read(p []byte) (int, error) {
	n, err := d.body.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = readPathError(d.path, sendError(d.op.name, err, false))
	}
	return n, err
}

func (d *download) Close() error { return d.body.Close() }

func readPathError(path string, err error) error {
	return &fs.PathError{Op: "read", Path: path, Err: err}
}

func writePathError(path string, err error) error {
	return &fs.PathError{Op: "write", Path: path, Err: err}
}

func checkPath(op, path string) error {
	ck := checks{op: op}
	ck.required("path", path)
	if strings.ContainsRune(path, 0) {
		ck.fail("path", "holds a zero byte")
	}
	return ck.err
}

// WriteFile writes a file, in place of an old one (POST /upload). The data is
// not copied, and must not change before the call returns. Errors are
// *fs.PathError.
func (s *Sandbox) WriteFile(ctx context.Context, path string, data []byte) error {
	return s.upload(ctx, path, int64(len(data)), func() io.Reader { return bytes.NewReader(data) })
}

// Upload writes what r yields to a file, in place of an old one (POST
// /upload), and nothing of it is held in memory. It does not close r. A failed
// upload may leave part of the file. As r cannot be read again, the request is
// never repeated. Errors are *fs.PathError.
func (s *Sandbox) Upload(ctx context.Context, path string, r io.Reader) error {
	return s.upload(ctx, path, -1, func() io.Reader { return r })
}

// upload sends content, which is again readable from the start if its size is
// known.
func (s *Sandbox) upload(ctx context.Context, path string, size int64, content func() io.Reader) error {
	op := operation{name: "write file", effect: true, rules: [][]rule{dataplane}}
	if err := checkPath(op.name, path); err != nil {
		return writePathError(path, err)
	}
	api, err := s.dataplane(&op)
	if err != nil {
		return writePathError(path, err)
	}
	op.call.Repeat, op.call.Timeout = transport.RepeatSafe, -1
	head, tail, contentType, err := filePart()
	if err != nil {
		return writePathError(path, err)
	}
	body := func() io.ReadCloser {
		return io.NopCloser(io.MultiReader(bytes.NewReader(head), content(), bytes.NewReader(tail)))
	}
	rewind := func(_ context.Context, req *http.Request) error { //nolint:unparam // the generated client asks for an error
		if size >= 0 {
			req.ContentLength = int64(len(head)) + size + int64(len(tail))
			req.GetBody = func() (io.ReadCloser, error) { return body(), nil }
		}
		return nil
	}
	err = op.run(ctx, func(ctx context.Context) (*http.Response, error) {
		return api.UploadWithBody(ctx, &gen.UploadParams{Path: path}, contentType, body(), rewind)
	})
	if err != nil {
		return writePathError(path, err)
	}
	return nil
}

// filePart returns what stands before and after the content of a multipart
// body with one file.
func filePart() (head, tail []byte, contentType string, err error) {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	h := textproto.MIMEHeader{}
	h.Set("Content-Disposition", `form-data; name="file"; filename="file"`)
	h.Set("Content-Type", "application/octet-stream")
	if _, err := w.CreatePart(h); err != nil {
		return nil, nil, "", err
	}
	n := b.Len()
	if err := w.Close(); err != nil {
		return nil, nil, "", err
	}
	return b.Bytes()[:n], b.Bytes()[n:], w.FormDataContentType(), nil
}
