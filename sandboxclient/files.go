package sandboxclient

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"os"
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
	r, err := s.Download(ctx, path, nil)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	var b bytes.Buffer
	if size := r.Info().Size(); size <= maxReadFile {
		b.Grow(int(max(size, 0)) + bytes.MinRead)
	}
	if _, err := b.ReadFrom(io.LimitReader(r, maxReadFile+1)); err != nil {
		return nil, err
	}
	if b.Len() > maxReadFile {
		message := fmt.Sprintf("the file has more than %d bytes", maxReadFile)
		return nil, readPathError(path, &APIError{Op: "read file", Message: message, kinds: kinds(ErrTooLarge)})
	}
	return b.Bytes(), nil
}

// readRules: whatever the code of a 404, the file is not there.
var readRules = []rule{
	notFound(resourceFile),
	{status: http.StatusRequestedRangeNotSatisfiable, kinds: kinds(ErrOperation), operation: "read"},
}

// identity keeps the transport from unpacking a file it asked to have packed:
// the length of an answer is then the length of the file.
func identity(_ context.Context, req *http.Request) error {
	req.Header.Set("Accept-Encoding", "identity")
	return nil
}

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
	return s.upload(ctx, path, int64(len(data)), true, func() io.Reader { return bytes.NewReader(data) })
}

// Upload writes what r yields to a file, in place of an old one (POST
// /upload), and nothing of it is held in memory. It does not close r. The size
// is announced if it is known: of a regular *os.File, and of what has a Len
// method, as the readers of bytes and strings. A failed upload may leave part
// of the file. As r cannot be read again, the request is never repeated. Errors
// are *fs.PathError.
func (s *Sandbox) Upload(ctx context.Context, path string, r io.Reader) error {
	if r == nil {
		return writePathError(path, &ArgumentError{Op: "write file", Argument: "reader", Reason: "is nil"})
	}
	size := sizeOf(r)
	if size >= 0 {
		r = io.LimitReader(r, size)
	}
	return s.upload(ctx, path, size, false, func() io.Reader { return r })
}

// sizeOf is what is left to read of r, or -1 if that cannot be known.
func sizeOf(r io.Reader) int64 {
	switch r := r.(type) {
	case interface{ Len() int }:
		return int64(r.Len())
	case *os.File:
		info, err := r.Stat()
		if err != nil || !info.Mode().IsRegular() {
			return -1
		}
		at, err := r.Seek(0, io.SeekCurrent)
		if err != nil || at > info.Size() {
			return -1
		}
		return info.Size() - at
	}
	return -1
}

// upload sends content, of a size that may be -1 for unknown, and which may be
// again readable from the start.
func (s *Sandbox) upload(ctx context.Context, path string, size int64, again bool, content func() io.Reader) error {
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
		return uploadBody{io.MultiReader(bytes.NewReader(head), content(), bytes.NewReader(tail))}
	}
	rewind := func(_ context.Context, req *http.Request) error { //nolint:unparam // the generated client asks for an error
		if size >= 0 {
			req.ContentLength = int64(len(head)) + size + int64(len(tail))
		}
		if again {
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

// uploadBody is a body that is sent in larger pieces than net/http would take.
type uploadBody struct{ io.Reader }

func (b uploadBody) Close() error { return nil }

// WriteTo sends all of it.
func (b uploadBody) WriteTo(w io.Writer) (int64, error) {
	return io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{b.Reader}, make([]byte, writeBuffer))
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
