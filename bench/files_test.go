package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/langsandbox/sandbox-go/gen"
	"github.com/langsandbox/sandbox-go/sandboxclient"
)

// zeros is what files are made of.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// upload counts what it is sent.
func (s *stub) upload(w http.ResponseWriter, r *http.Request) {
	form, err := r.MultipartReader()
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	part, err := form.NextPart()
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, part, make([]byte, 256<<10))
	if err != nil {
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(gen.UploadResult{Path: r.URL.Query().Get("path"), Written: n}) //nolint:errchkjson // the client sees it
}

// download sends as many bytes as the path says.
func (s *stub) download(w http.ResponseWriter, r *http.Request) {
	size := atoi(strings.TrimPrefix(r.URL.Query().Get("path"), "/"))
	w.Header().Set("ETag", `"zeros"`)
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", strconv.Itoa(size))
	block := make([]byte, 256<<10)
	for size > 0 {
		n, err := w.Write(block[:min(size, len(block))])
		if err != nil {
			return
		}
		size -= n
	}
}

// fileFloor is net/http with nothing around it.
type fileFloor struct {
	url  string
	http *http.Client
}

func (f *fileFloor) upload(size int64) (int64, error) { return f.send(size, true) }

func (f *fileFloor) uploadStream(size int64) (int64, error) { return f.send(size, false) }

func (f *fileFloor) send(size int64, announced bool) (int64, error) {
	var form bytes.Buffer
	w := multipart.NewWriter(&form)
	if _, err := w.CreatePart(textproto.MIMEHeader{
		"Content-Disposition": {`form-data; name="file"; filename="file"`}, "Content-Type": {"application/octet-stream"},
	}); err != nil {
		return 0, err
	}
	head := form.Len()
	if err := w.Close(); err != nil {
		return 0, err
	}
	all := form.Bytes()
	body := io.MultiReader(bytes.NewReader(all[:head]), io.LimitReader(zeros{}, size), bytes.NewReader(all[head:]))
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, f.url+"/upload?path=x", body)
	if err != nil {
		return 0, err
	}
	if announced {
		req.ContentLength = int64(len(all)) + size
	}
	req.Header.Set("Content-Type", w.FormDataContentType())
	resp, err := f.http.Do(req)
	if err != nil {
		return 0, err
	}
	var result gen.UploadResult
	err = json.NewDecoder(resp.Body).Decode(&result)
	return result.Written, errors.Join(err, resp.Body.Close())
}

func (f *fileFloor) download(size int64) (int64, error) {
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, f.url+"/download?path="+url.QueryEscape(fmt.Sprint("/", size)), nil)
	if err != nil {
		return 0, err
	}
	resp, err := f.http.Do(req)
	if err != nil {
		return 0, err
	}
	var got count
	_, err = io.Copy(&got, resp.Body)
	return int64(got), errors.Join(err, resp.Body.Close())
}

// ofSize is a reader that knows its size.
type ofSize struct {
	io.Reader
	size int64
}

func (o ofSize) Len() int { return int(o.size) }

// uploadFile sends a file whose size is the command.
func uploadFile(ctx context.Context, s *sandboxclient.Sandbox, command string) (int64, error) {
	size := int64(atoi(command))
	return size, s.Upload(ctx, "/x", ofSize{io.LimitReader(zeros{}, size), size})
}

// uploadStream is an upload whose size is not announced.
func uploadStream(ctx context.Context, s *sandboxclient.Sandbox, command string) (int64, error) {
	size := int64(atoi(command))
	return size, s.Upload(ctx, "/x", io.LimitReader(zeros{}, size))
}

func downloadFile(ctx context.Context, s *sandboxclient.Sandbox, command string) (int64, error) {
	d, err := s.Download(ctx, "/"+command, nil)
	if err != nil {
		return 0, err
	}
	var got count
	_, err = io.Copy(&got, d)
	return int64(got), errors.Join(err, d.Close())
}

func init() {
	deliveries["upload"], deliveries["upload-stream"], deliveries["download"] = uploadFile, uploadStream, downloadFile
}

// BenchmarkFiles is uploads and downloads, 256 MiB with the flag -mib at its
// default.
func BenchmarkFiles(b *testing.B) {
	address := stubServer(b)
	box, err := connect(b.Context(), address)
	if err != nil {
		b.Fatal(err)
	}
	f := &fileFloor{url: "http://" + address + "/box", http: &http.Client{Transport: &http.Transport{}}}
	size := int64(8**mebibytes) << 20
	for _, c := range []struct {
		name  string
		floor func(int64) (int64, error)
	}{{"upload", f.upload}, {"upload-stream", f.uploadStream}, {"download", f.download}} {
		b.Run(c.name, func(b *testing.B) {
			p := pair{bytes: size, units: int(size >> 20), unit: "MiB"}
			p.floor = func() error {
				got, err := c.floor(size)
				return expect(got, size, err)
			}
			p.sdk = func() error {
				got, err := deliveries[c.name](b.Context(), box, strconv.FormatInt(size, 10))
				return expect(got, size, err)
			}
			p.run(b)
		})
	}
}
