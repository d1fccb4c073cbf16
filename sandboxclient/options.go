package sandboxclient

import (
	"log/slog"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/langsandbox/sandbox-go/internal/transport"
)

// Option configures a Client.
type Option func(*config) error

type config struct {
	endpoint  string
	apiKey    *string
	header    http.Header
	client    *http.Client
	logger    *slog.Logger
	agent     string
	retry     RetryPolicy
	timeout   time.Duration
	plaintext bool
	commands  CommandPolicy
	env       environment
}

func defaults() *config {
	return &config{
		header:  http.Header{},
		logger:  slog.New(slog.DiscardHandler),
		agent:   transport.UserAgent(),
		retry:   DefaultRetryPolicy(),
		timeout: 30 * time.Second,

		commands: CommandPolicy{}.completed(),
		env:      os.Getenv, //nolint:forbidigo // the one place that reads the environment
	}
}

// WithEndpoint sets the base URL of the API, such as
// https://api.smith.langchain.com/v2/sandboxes, used as given but for trailing
// slashes. An empty one leaves the choice to the environment: the host in
// LANGSMITH_ENDPOINT or LANGCHAIN_ENDPOINT plus /v2/sandboxes, else the hosted
// service.
func WithEndpoint(rawURL string) Option {
	return func(c *config) error {
		c.endpoint = rawURL
		return nil
	}
}

// WithAPIKey sets the API key, "" for none. Without this option the key is in
// LANGSMITH_API_KEY or LANGCHAIN_API_KEY.
func WithAPIKey(key string) Option {
	return func(c *config) error {
		key = strings.TrimSpace(key)
		c.apiKey = &key
		return nil
	}
}

// WithHeader sends a header with every request to the endpoint and to
// sandboxes, such as X-Tenant-Id. It wins over the headers of the client,
// X-Api-Key included.
func WithHeader(key, value string) Option {
	return func(c *config) error {
		if err := checkHeader(key, value); err != nil {
			return err
		}
		c.header.Set(key, value)
		return nil
	}
}

// WithHTTPClient sets the client that carries the requests, for proxies, TLS
// settings and tests. It is copied, never changed; redirects are not followed,
// whatever its policy. [Client.Close] leaves its connections alone.
func WithHTTPClient(hc *http.Client) Option {
	return func(c *config) error {
		if hc == nil {
			return &ArgumentError{Argument: "HTTP client", Reason: "is nil"}
		}
		c.client = hc
		return nil
	}
}

// WithLogger sets a logger for one debug record per attempt: method, address
// without query, status and duration; and for a warning when a command is out
// of reach for longer than a moment. The default discards.
func WithLogger(l *slog.Logger) Option {
	return func(c *config) error {
		if l == nil {
			return &ArgumentError{Argument: "logger", Reason: "is nil"}
		}
		c.logger = l
		return nil
	}
}

// WithUserAgent puts a product and its version before the User-Agent of this
// module.
func WithUserAgent(product, version string) Option {
	return func(c *config) error {
		agent := product
		if version != "" {
			agent += "/" + version
		}
		if err := checkHeader("User-Agent", agent); err != nil {
			return err
		}
		if product == "" {
			return &ArgumentError{Argument: "product", Reason: "is empty"}
		}
		c.agent = agent + " " + transport.UserAgent()
		return nil
	}
}

// RetryPolicy bounds the repetition of requests; the package documentation
// says which requests may be repeated.
type RetryPolicy struct {
	// MaxAttempts includes the first; 0 and 1 never repeat.
	MaxAttempts int
	// BaseDelay is the pause before the first repetition, doubled before each
	// further one; up to as much again is added at random.
	BaseDelay time.Duration
	// MaxDelay bounds a pause, save one that the server asks for, which may
	// last a minute.
	MaxDelay time.Duration
}

// DefaultRetryPolicy is four attempts, with pauses from one second on, at most
// ten.
func DefaultRetryPolicy() RetryPolicy {
	return RetryPolicy{MaxAttempts: 4, BaseDelay: time.Second, MaxDelay: 10 * time.Second}
}

// WithRetry sets the policy for repeating requests; the zero policy never
// repeats. The default is [DefaultRetryPolicy].
func WithRetry(p RetryPolicy) Option {
	return func(c *config) error {
		if p.MaxAttempts < 0 || p.BaseDelay < 0 || p.MaxDelay < 0 {
			return &ArgumentError{Argument: "retry policy", Reason: "is negative"}
		}
		c.retry = p
		return nil
	}
}

// WithRequestTimeout bounds each attempt of a request, the reading of its
// answer included; 30 seconds by default, 0 for no bound but the context.
// Calls that wait for the server have 30 seconds more than they wait, commands
// 10 seconds more than their own timeout; file transfers have no bound.
func WithRequestTimeout(d time.Duration) Option {
	return func(c *config) error {
		if d < 0 {
			return &ArgumentError{Argument: "request timeout", Reason: "is negative"}
		}
		c.timeout = d
		return nil
	}
}

// WithPlaintext allows credentials over http to other machines, where a
// trusted network is all there is between.
func WithPlaintext() Option {
	return func(c *config) error {
		c.plaintext = true
		return nil
	}
}

// WithEnvironment replaces the process environment as the source of what the
// other options leave open. The function returns "" for what is not set.
func WithEnvironment(getenv func(key string) string) Option {
	return func(c *config) error {
		if getenv == nil {
			return &ArgumentError{Argument: "environment", Reason: "is nil"}
		}
		c.env = getenv
		return nil
	}
}
