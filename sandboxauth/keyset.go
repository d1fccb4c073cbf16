package sandboxauth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

const (
	defaultEndpoint = "https://api.smith.langchain.com"
	keysPath        = "/.well-known/jwks.json"

	keysLife     = 5 * time.Minute  // of what was fetched
	unknownPause = 30 * time.Second // between fetches for names not known
	failurePause = 5 * time.Second  // after a fetch that failed
	fetchTimeout = 10 * time.Second
	maxKeys      = 1 << 20 // bytes
)

// keySet fetches and keeps the keys of the API.
type keySet struct {
	url    string
	client *http.Client

	mu      sync.Mutex
	keys    map[string]key
	fetched time.Time // when keys came
	failed  time.Time // when the last fetch failed
	failure error
	flight  *flight
}

// flight is a fetch on its way. err is set before done is closed.
type flight struct {
	done    chan struct{}
	err     error
	waiting int // guarded by the set's mu
	cancel  context.CancelFunc
}

func newKeySet(cfg *Config) (*keySet, error) {
	endpoint := cfg.Endpoint
	if endpoint == "" {
		endpoint = defaultEndpoint
	}
	u, err := url.Parse(endpoint)
	switch {
	case err != nil || u.Hostname() == "" || u.Scheme != "https" && u.Scheme != "http":
		return nil, errors.New("the endpoint is no http or https address")
	case u.User != nil:
		return nil, errors.New("the endpoint holds a user name or password")
	case u.Scheme == "http" && !local(u.Hostname()) && !cfg.AllowPlaintext:
		return nil, errors.New("the endpoint must be https, as whoever is on the way could make keys")
	}
	client := &http.Client{}
	if cfg.HTTPClient != nil {
		*client = *cfg.HTTPClient
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &keySet{url: u.Scheme + "://" + u.Host + keysPath, client: client}, nil
}

func local(host string) bool {
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || strings.HasSuffix(strings.ToLower(host), ".localhost") || ip != nil && ip.IsLoopback()
}

// find returns the key of a name. It fetches the keys if they are old, or if
// they may have changed since.
func (s *keySet) find(ctx context.Context, name string) (key, error) {
	for fetched := false; ; fetched = true {
		s.mu.Lock()
		now := time.Now()
		k, known := s.keys[name]
		age := now.Sub(s.fetched)
		fresh := s.keys != nil && age < keysLife
		switch {
		case fresh && known:
			s.mu.Unlock()
			return k, nil
		case fresh && (fetched || age < unknownPause):
			s.mu.Unlock()
			return key{}, refused("the key it names is none of the API's")
		case s.failure != nil && now.Sub(s.failed) < failurePause:
			defer s.mu.Unlock()
			return key{}, s.failure
		}
		if err := s.join(ctx); err != nil { // unlocks
			return key{}, err
		}
	}
}

// join waits for a fetch, one for all, which ends when nobody waits for it any
// more. mu is held, and given up.
func (s *keySet) join(ctx context.Context) error {
	f := s.flight
	if f == nil {
		fetching, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchTimeout)
		f = &flight{done: make(chan struct{}), cancel: cancel}
		s.flight = f
		go func() {
			defer cancel()
			keys, err := s.fetch(fetching)
			s.land(f, keys, err)
		}()
	}
	f.waiting++
	s.mu.Unlock()
	select {
	case <-f.done:
		return f.err
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.waiting--; f.waiting == 0 {
		f.cancel()
		if s.flight == f {
			s.flight = nil
		}
	}
	return ctx.Err()
}

// land takes over the outcome of a fetch, unless nobody waited for it.
func (s *keySet) land(f *flight, keys map[string]key, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer close(f.done)
	if s.flight != f {
		return
	}
	s.flight = nil
	if err != nil {
		f.err = fmt.Errorf("%w: %w", ErrKeys, err)
		s.failure, s.failed = f.err, time.Now()
		return
	}
	s.keys, s.fetched, s.failure = keys, time.Now(), nil
}

func (s *keySet) fetch(ctx context.Context) (map[string]key, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, http.NoBody)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json")
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answered %d", s.url, resp.StatusCode)
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxKeys+1)) //nolint:forbidigo // bounded
	if err != nil {
		return nil, err
	}
	if len(data) > maxKeys {
		return nil, fmt.Errorf("%s answered with more than %d bytes", s.url, maxKeys)
	}
	keys, err := parseKeys(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.url, err)
	}
	return keys, nil
}
