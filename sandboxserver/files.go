package sandboxserver

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime/multipart"
	"net/http"
	"os"
	"time"

	"github.com/langsandbox/sandbox-go/gen"
	"github.com/langsandbox/sandbox-go/internal/runtime"
)

// upload streams the body into a file. The file is opened, and cut to nothing,
// when its content begins to arrive; a broken upload leaves what came.
func (s *Server) upload(v visit, w http.ResponseWriter, r *http.Request) error {
	defer interrupt(r.Context(), http.NewResponseController(w).SetReadDeadline)()
	path := r.URL.Query().Get("path")
	part, err := filePart(r)
	if err != nil {
		return err
	}
	most := s.mostUpload(v.sb)
	if r.ContentLength-maxPartHeader > most {
		return errUpload(path, most)
	}
	file, err := v.sb.OpenFile(r.Context(), path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return fileProblem(codeWrite, path, err)
	}
	out := bufio.NewWriterSize(file, writeBuffer) // parts come in pieces of 4 KiB
	written, err := io.Copy(onlyWriter{out}, io.LimitReader(part, most))
	err = errors.Join(err, out.Flush())
	if err == nil && written == most && more(part) {
		err = errUpload(path, most)
	}
	if err := errors.Join(err, file.Close()); err != nil {
		return fileProblem(codeWrite, path, err)
	}
	writeJSON(w, http.StatusOK, gen.UploadResult{Path: path, Written: written})
	return nil
}

// writeBuffer is as much of an upload as is written at once.
const writeBuffer = 128 << 10

// onlyWriter keeps a writer from reading in pieces of its own.
type onlyWriter struct{ io.Writer }

// maxPartHeader is what may stand around the file in a body.
const maxPartHeader = 64 << 10

// mostUpload is how large a file may be: for this server, and for the sandbox
// if its disk has a size.
func (s *Server) mostUpload(sb runtime.Sandbox) int64 {
	if n, ok := sb.(*networked); ok && n.limits.FileBytes > 0 {
		return min(s.cfg.MaxUpload, n.limits.FileBytes)
	}
	return s.cfg.MaxUpload
}

func errUpload(path string, most int64) error {
	return problem(http.StatusRequestEntityTooLarge, codeTooLarge, "file %q: more than the %d bytes that a file may have here", path, most)
}

func more(r io.Reader) bool {
	n, _ := io.ReadFull(r, make([]byte, 1))
	return n > 0
}

// filePart finds the part named file.
func filePart(r *http.Request) (*multipart.Part, error) {
	reader, err := r.MultipartReader()
	if err != nil {
		return nil, &apiError{
			status: http.StatusUnsupportedMediaType, code: codeMediaType, cause: err,
			message: "the body must be multipart/form-data",
		}
	}
	for {
		part, err := reader.NextPart()
		if err == io.EOF {
			return nil, invalid("file is required", "file")
		}
		if err != nil {
			return nil, invalidFields(fieldError("the body is not valid multipart/form-data", []any{"body"}))
		}
		if part.FormName() == "file" {
			return part, nil
		}
	}
}

// download serves a file, whole or in part.
func (s *Server) download(v visit, w http.ResponseWriter, r *http.Request) error {
	defer interrupt(r.Context(), http.NewResponseController(w).SetWriteDeadline)()
	path := r.URL.Query().Get("path")
	file, err := v.sb.OpenFile(r.Context(), path, os.O_RDONLY, 0)
	if err != nil {
		return fileProblem(codeRead, path, err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return fileProblem(codeRead, path, err)
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("ETag", etag(info))
	http.ServeContent(w, r, "", info.ModTime(), file)
	return nil
}

// interrupt lets the end of ctx break reads or writes of the connection off.
func interrupt(ctx context.Context, setDeadline func(time.Time) error) (stop func() bool) {
	return context.AfterFunc(ctx, func() { _ = setDeadline(time.Unix(1, 0)) })
}

// fileProblem maps errors of opening, reading and writing files.
func fileProblem(code, path string, err error) error {
	e := &apiError{status: http.StatusBadRequest, code: code, cause: err}
	if own, ok := errors.AsType[*apiError](err); ok {
		return own
	}
	switch {
	case errors.Is(err, runtime.ErrClosed):
		return errGone
	case errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, fs.ErrNotExist):
		e.status, e.code = http.StatusNotFound, codeFileNotFound
		e.message = fmt.Sprintf("file %q not found", path)
	case errors.Is(err, fs.ErrPermission):
		e.status, e.code = http.StatusForbidden, codePermission
		e.message = fmt.Sprintf("file %q: permission denied", path)
	default:
		reason := err
		if own, ok := errors.AsType[*fs.PathError](err); ok {
			reason = own.Err // without the name the file has on the host
		}
		e.message = fmt.Sprintf("file %q: %v", path, reason)
	}
	return e
}
