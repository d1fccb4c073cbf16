package sandboxclient

import "time"

// CommandPolicy bounds how commands are started and how a lost connection is
// made anew; see [WithCommandPolicy]. Zero fields have the defaults named, and
// negative ones turn a bound off, or are none.
type CommandPolicy struct {
	// OpenTimeout bounds one attempt to connect, up to the server's first
	// answer; 30 seconds.
	OpenTimeout time.Duration
	// StartBudget bounds a start with all its attempts; 2 minutes.
	StartBudget time.Duration
	// StartRetries is how many more attempts a start has; 5.
	StartRetries int
	// ReconnectBudget bounds the time a running command is out of reach; 5
	// minutes. Output, or the server's acknowledgement, starts it anew.
	ReconnectBudget time.Duration
	// ReconnectRetries is how many connections in a row may be lost without
	// output or acknowledgement; 5.
	ReconnectRetries int
	// BaseDelay is the pause before the first repetition, doubled before each
	// further one; half a second.
	BaseDelay time.Duration
	// MaxDelay bounds a pause, save one that the server asks for; 8 seconds.
	MaxDelay time.Duration
	// Jitter is the share of a pause that is left to chance, which makes it
	// shorter; 0.2.
	Jitter float64
	// PingInterval is the time between two pings on a connection; 30 seconds.
	PingInterval time.Duration
	// PingTimeout is how long an answer to a ping may take before a silent
	// connection is given up; 60 seconds.
	PingTimeout time.Duration
	// TimeoutGrace is how much later than Cmd.Timeout a command is given up
	// that the server did not end; 30 seconds.
	TimeoutGrace time.Duration
	// OutputBuffer is how many bytes of output wait for a slow writer before
	// the connection is held back; 256 KiB.
	OutputBuffer int
	// FrameLimit is the largest frame that is accepted, in bytes; 64 MiB.
	FrameLimit int64
}

// WithCommandPolicy sets how commands are started and reconnected.
func WithCommandPolicy(p CommandPolicy) Option {
	return func(c *config) error {
		c.commands = p.completed()
		return nil
	}
}

const (
	defaultOutputBuffer = 256 << 10
	defaultFrameLimit   = 64 << 20
	defaultJitter       = 0.2
	defaultRetries      = 5
	forever             = time.Duration(1<<63 - 1)
)

// completed has the defaults in place of zeros, and for ever, or none, in
// place of what is negative.
func (p CommandPolicy) completed() CommandPolicy {
	bound := func(d *time.Duration, byDefault time.Duration) {
		switch {
		case *d == 0:
			*d = byDefault
		case *d < 0:
			*d = forever
		}
	}
	bound(&p.OpenTimeout, 30*time.Second)
	bound(&p.StartBudget, 2*time.Minute)
	bound(&p.ReconnectBudget, 5*time.Minute)
	bound(&p.MaxDelay, 8*time.Second)
	bound(&p.PingInterval, 30*time.Second)
	bound(&p.PingTimeout, time.Minute)
	bound(&p.TimeoutGrace, 30*time.Second)
	p.StartRetries = orDefault(p.StartRetries, defaultRetries)
	p.ReconnectRetries = orDefault(p.ReconnectRetries, defaultRetries)
	p.BaseDelay = orDefault(p.BaseDelay, time.Second/2)
	p.Jitter = min(orDefault(p.Jitter, defaultJitter), 1)
	p.OutputBuffer = orDefault(p.OutputBuffer, defaultOutputBuffer)
	if p.FrameLimit == 0 {
		p.FrameLimit = defaultFrameLimit
	}
	p.FrameLimit = max(p.FrameLimit, -1) // which is none
	return p
}

// orDefault is v, the default for 0, and 0 for what is negative.
func orDefault[T int | int64 | float64 | time.Duration](v, byDefault T) T {
	if v == 0 {
		return byDefault
	}
	return max(v, 0)
}
