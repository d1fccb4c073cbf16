package sandboxserver

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/langsandbox/sandbox-go/internal/runtime"
)

// Server serves the API. It is an http.Handler and safe for concurrent use.
type Server struct {
	cfg      Config
	engine   *engine
	contract *contract
	mux      *http.ServeMux
	temp     *tempDir // removed by Close; nil with one that stays

	dataplaneOps map[string]operation
	services     *http.Transport
	identity     *identity

	mu       sync.Mutex
	closed   bool
	requests sync.WaitGroup // added to with mu held and closed false only

	closeOnce sync.Once
	closeErr  error
}

var _ http.Handler = (*Server)(nil)

// New starts a server. It fails with [ErrIsolation] when the host cannot
// isolate sandboxes as far as cfg.MinIsolation asks, and when another server
// uses the data directory. The caller must Close it.
func New(cfg Config) (*Server, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, services: newServiceTransport()}
	gateway, err := cfg.gateway(func(address string, body []byte) (string, error) {
		return s.identity.callback(address, body, time.Now())
	})
	if err != nil {
		return nil, err
	}
	if s.contract, err = loadContract(); err != nil {
		return nil, err
	}
	s.dataplaneOps = dataplaneOperations(s.contract)
	dir, err := s.openDir()
	if err != nil {
		return nil, fmt.Errorf("sandboxserver: data directory: %w", err)
	}
	s.engine = newEngine(cfg, gateway, dir)
	if err := s.openData(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	s.mux = s.routes()
	cfg.Logger.Debug("sandbox server started", "isolation", runtime.StepOf(s.engine.rt), "dir", dir)
	return s, nil
}

// openData opens what is in the data directory. The records come first: they say
// what of the rest stays.
func (s *Server) openData() (err error) {
	e := s.engine
	if s.temp == nil {
		file, err := openState(e.dir)
		if err != nil {
			return fmt.Errorf("sandboxserver: %w", err)
		}
		if err := e.restore(file); err != nil {
			return fmt.Errorf("sandboxserver: %w", errors.Join(err, file.close()))
		}
		e.keepRecords(file)
	}
	if e.rt = s.cfg.runtime; e.rt == nil {
		if e.rt, err = openRuntime(s.cfg, filepath.Join(e.dir, "runtime"), e.keeps); err != nil {
			return err
		}
	}
	e.features = runtime.FeaturesOf(e.rt)
	if runtime.StepOf(e.rt) == runtime.IsolationLandlock && os.Geteuid() == 0 {
		e.log.Warn("sandboxes can change the modes of root's files: with this isolation, run the server as another user", "isolation", runtime.IsolationLandlock)
	}
	if len(e.features.Unlimited) > 0 {
		e.log.Warn("some limits of sandboxes do not hold on this host, and only count against the quotas", "limits", e.features.Unlimited)
	}
	if err := e.openImages(); err != nil {
		return fmt.Errorf("sandboxserver: %w", err)
	}
	if e.signer, err = openSigner(e.dir); err != nil {
		return fmt.Errorf("sandboxserver: %w", err)
	}
	s.identity = newIdentity(e.signer, s.cfg.PublicURL)
	if e.records == nil {
		return nil
	}
	if err := e.resume(); err != nil {
		return fmt.Errorf("sandboxserver: %w", err)
	}
	return nil
}

// openDir makes the data directory, readable to its owner only.
func (s *Server) openDir() (string, error) {
	dir := s.cfg.Dir
	if dir == "" {
		var err error
		if s.temp, err = makeTempDir(); err != nil {
			return "", err
		}
		dir = s.temp.name
		sweepTempDirs(filepath.Dir(dir), func(dir string, err error) {
			s.cfg.Logger.Warn("the directory of a server that was killed cannot be removed", "dir", dir, "error", err)
		})
	}
	dir, err := filepath.Abs(dir)
	if err == nil {
		err = os.MkdirAll(filepath.Join(dir, "volumes"), 0o700)
	}
	if err == nil {
		err = os.MkdirAll(filepath.Join(dir, "snapshots"), 0o700)
	}
	if err == nil {
		// Also one that was there: sandboxes write what they like in volumes.
		err = os.Chmod(filepath.Join(dir, "volumes"), 0o700) //nolint:gosec // a directory
	}
	if err != nil {
		return "", errors.Join(err, s.removeTemp())
	}
	return dir, nil
}

func (s *Server) removeTemp() error {
	if s.temp == nil {
		return nil
	}
	return s.temp.remove()
}

// APIKey returns the key that clients must send.
func (s *Server) APIKey() string { return s.cfg.APIKey }

// Isolation returns how sandboxes are isolated: [IsolationNative],
// [IsolationLandlock], [IsolationProcess] or [IsolationOCI].
func (s *Server) Isolation() Isolation { return Isolation(s.engine.rt.Isolation()) }

// IsolationStep returns which step of the ladder it is: one of those of
// IsolationNative, or what Isolation returns.
func (s *Server) IsolationStep() Isolation { return Isolation(runtime.StepOf(s.engine.rt)) }

// Close deletes all sandboxes, ends requests on their way, and removes the
// data directory if it is a temporary one. It waits until no process is left,
// 30 seconds at most. Later requests are answered with status 503. Close may
// be called more than once, and returns the same error each time.
func (s *Server) Close() error {
	s.closeOnce.Do(func() {
		s.mu.Lock()
		s.closed = true
		s.mu.Unlock()
		s.closeErr = errors.Join(s.engine.close(), s.awaitRequests(), s.removeTemp())
		if s.closeErr != nil {
			s.closeErr = fmt.Errorf("close sandbox server: %w", s.closeErr)
		}
	})
	return s.closeErr
}

// awaitRequests waits for handlers to return; their contexts have ended.
func (s *Server) awaitRequests() error {
	ended := make(chan struct{})
	go func() { s.requests.Wait(); close(ended) }()
	select {
	case <-ended:
		return nil
	case <-time.After(closeTimeout):
		return fmt.Errorf("requests did not end within %v", closeTimeout)
	}
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	watched := &response{ResponseWriter: w}
	defer s.observe(watched, r, time.Now())
	if err := s.checkHost(r); err != nil {
		s.fail(watched, r, err)
		return
	}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		s.fail(watched, r, errClosing)
		return
	}
	s.requests.Add(1)
	s.mu.Unlock()
	defer s.requests.Done()

	ctx, cancel := context.WithCancel(context.WithValue(r.Context(), baseKey{}, s.baseURL(r)))
	defer cancel()
	defer context.AfterFunc(s.engine.ctx, cancel)() //nolint:contextcheck // ends with either
	s.route(watched, r.WithContext(ctx))
}

func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	writeError(w, r, s.cfg.Logger, err)
}
