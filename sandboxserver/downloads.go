package sandboxserver

import (
	"context"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/langsandbox/sandbox-go/gen"
)

// linkPrefix is where links to files are. A link ends with the name of its
// file, so that what it serves is alone below its path.
const linkPrefix = "/dl/"

// createDownloadURL makes a link to a file. Whether there is one shows when
// the link is used.
func (e *engine) createDownloadURL(ctx context.Context, name string, req gen.CreateDownloadURL) (out gen.DownloadURL, err error) {
	c := claims{Kind: tokenDownload, Path: req.Path, Issued: time.Now().Unix()}
	if err := describeLink(&c, req); err != nil {
		return out, err
	}
	if err := e.look(func() error {
		b, err := e.boxes.find(name)
		if err == nil {
			c.Sandbox = b.id
		}
		return err
	}); err != nil {
		return out, err
	}
	if req.ExpiresInSeconds > 0 {
		out.ExpiresAt = time.Now().Add(seconds(req.ExpiresInSeconds)).UTC().Truncate(time.Second)
		c.Expires = out.ExpiresAt.Unix()
	}
	if out.Token, err = e.signer.sign(c); err != nil {
		return out, err
	}
	if len(out.Token) > maxToken {
		return gen.DownloadURL{}, invalid("path is too long", "path")
	}
	base, _ := ctx.Value(baseKey{}).(string)
	out.DownloadURL = base + linkPrefix + out.Token + "/" + url.PathEscape(path.Base(req.Path))
	return out, nil
}

// describeLink checks how a file is to be served.
func describeLink(c *claims, req gen.CreateDownloadURL) (err error) {
	if strings.ContainsRune(req.Path, 0) {
		return invalid("path must not contain a zero byte", "path")
	}
	if req.ContentType != "" {
		if _, _, err := mime.ParseMediaType(req.ContentType); err != nil {
			return invalid("content_type is no media type", "content_type")
		}
	}
	c.Type, c.Disposition = req.ContentType, "attachment"
	if req.ContentDisposition != "" {
		c.Disposition, _, err = mime.ParseMediaType(req.ContentDisposition)
		if err != nil || c.Disposition != "attachment" && c.Disposition != "inline" {
			return invalid("content_disposition must be attachment or inline", "content_disposition")
		}
	}
	locked := req.CSPSandbox == nil || *req.CSPSandbox
	if !locked && len(req.CSPSandboxFlags) > 0 {
		return invalid("csp_sandbox_flags have no place without csp_sandbox", "csp_sandbox_flags")
	}
	policy, err := linkPolicy(locked, req.CSPSandboxFlags, req.CSPSourceBundles)
	if policy != usualPolicy {
		c.Policy = &policy
	}
	return err
}

// bundleSources are the hosts of content networks.
var bundleSources = map[gen.CSPSourceBundle]string{
	gen.CSPSourceCDNJS:       "https://cdnjs.cloudflare.com",
	gen.CSPSourceGoogleFonts: "https://fonts.googleapis.com https://fonts.gstatic.com",
	gen.CSPSourceJSDelivr:    "https://cdn.jsdelivr.net",
	gen.CSPSourceUnpkg:       "https://unpkg.com",
	gen.CSPSourceNone:        "",
}

// linkPolicy is the Content-Security-Policy of a file: what the page may do if
// it is locked in, and where it may load from besides itself. That is never
// this server, whose API is of the same origin.
func linkPolicy(locked bool, flags []gen.CSPSandboxFlag, bundles []gen.CSPSourceBundle) (string, error) {
	var directives []string
	if locked {
		directive := "sandbox"
		for _, flag := range flags {
			if !strings.Contains(directive, " "+string(flag)+" ") {
				directive += " " + string(flag)
			}
		}
		directives = append(directives, directive)
	}
	if len(bundles) == 0 {
		bundles = []gen.CSPSourceBundle{gen.CSPSourceCDNJS, gen.CSPSourceGoogleFonts, gen.CSPSourceJSDelivr, gen.CSPSourceUnpkg}
	}
	alone := slices.Contains(bundles, gen.CSPSourceAny) || slices.Contains(bundles, gen.CSPSourceNone)
	if alone && len(bundles) > 1 {
		return "", invalid("none and any have no place beside other bundles", "csp_source_bundles")
	}
	if bundles[0] != gen.CSPSourceAny {
		sources := "default-src 'unsafe-inline' 'unsafe-eval' data: blob:"
		for _, bundle := range bundles {
			sources = strings.TrimSpace(sources + " " + bundleSources[bundle])
		}
		directives = append(directives, sources)
	}
	return strings.Join(directives, "; "), nil
}

// usualPolicy is that of most links, and is not repeated in them.
var usualPolicy, _ = linkPolicy(true, nil, nil)

// serveLink serves the file of a link to whoever has it.
func (s *Server) serveLink(w http.ResponseWriter, r *http.Request) error {
	header := w.Header()
	header.Set("Cache-Control", "private, no-cache")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("X-Content-Type-Options", "nosniff")
	token, _, _ := strings.Cut(strings.TrimPrefix(r.URL.EscapedPath(), linkPrefix), "/")
	c, err := s.engine.signer.verify(token, tokenDownload, time.Now())
	switch {
	case err == errTokenExpired: //nolint:errorlint // of verify
		return problem(http.StatusForbidden, codeForbidden, "the link has expired")
	case err != nil:
		return problem(http.StatusForbidden, codeForbidden, "the link is not valid")
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		return notAllowed(r.Method, http.MethodGet, http.MethodHead)
	}
	v, leave, err := s.engine.enterBox(r.Context(), c.Sandbox)
	if err != nil {
		return err
	}
	defer leave()
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(v.run, cancel)() //nolint:contextcheck // ends with either
	if err := serveFile(v, w, r.WithContext(ctx), c); err != nil {
		if v.run.Err() != nil {
			return errGone
		}
		return err
	}
	return nil
}

func serveFile(v visit, w http.ResponseWriter, r *http.Request, c claims) error {
	defer interrupt(r.Context(), http.NewResponseController(w).SetWriteDeadline)()
	file, err := v.sb.OpenFile(r.Context(), c.Path, os.O_RDONLY, 0)
	if err != nil {
		return fileProblem(codeRead, c.Path, err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return fileProblem(codeRead, c.Path, err)
	}
	name := path.Base(c.Path)
	kind := c.Type
	if kind == "" {
		kind = mime.TypeByExtension(path.Ext(name))
	}
	if kind == "" {
		kind = "application/octet-stream"
	}
	header := w.Header()
	header.Set("Content-Type", kind)
	if disposition := mime.FormatMediaType(c.Disposition, map[string]string{"filename": name}); disposition != "" {
		header.Set("Content-Disposition", disposition)
	} else {
		header.Set("Content-Disposition", c.Disposition)
	}
	policy := usualPolicy
	if c.Policy != nil {
		policy = *c.Policy
	}
	if policy != "" {
		header.Set("Content-Security-Policy", policy)
	}
	header.Set("ETag", fmt.Sprintf(`"%x-%x"`, info.ModTime().UnixNano(), info.Size()))
	http.ServeContent(w, r, "", info.ModTime(), file)
	return nil
}
