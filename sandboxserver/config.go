package sandboxserver

import (
	"cmp"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/langsandbox/sandbox-go/internal/egress"
	"github.com/langsandbox/sandbox-go/internal/runtime"
)

// Isolation names how far sandboxes are kept apart from the host: a step of a
// ladder, or [IsolationNative] for any of its steps. docs/isolation.md says
// what each protects.
type Isolation string

// The steps, weakest first.
const (
	// IsolationProcess is a directory and a process group, and no isolation at
	// all: commands see the host's files, processes and network, with the
	// rights of the server.
	IsolationProcess Isolation = Isolation(runtime.IsolationProcess)
	// IsolationLandlock is IsolationProcess behind a fence of Landlock and
	// seccomp, for hosts that refuse namespaces (Linux 5.13). Commands write to
	// the sandbox's own directory and its volumes only, and read these and the
	// host's programs. They may listen, and connect to nothing. Paths are the
	// host's, as with IsolationProcess.
	IsolationLandlock Isolation = Isolation(runtime.IsolationLandlock)
	// IsolationProcBound is IsolationNative on a host that refuses a /proc of
	// their own to sandboxes, such as a container: commands see the names and
	// numbers of processes besides their own.
	IsolationProcBound Isolation = Isolation(runtime.IsolationProcBound)
	// IsolationRootless is IsolationNative by an ordinary user, who is the only
	// user in a sandbox.
	IsolationRootless Isolation = Isolation(runtime.IsolationRootless)
	// IsolationSubordinate is IsolationNative by an ordinary user who has
	// subordinate ids and the programs newuidmap and newgidmap: sandboxes have
	// users of their own, and root of a sandbox is the server's user.
	IsolationSubordinate Isolation = Isolation(runtime.IsolationSubordinate)
	// IsolationRoot is IsolationNative by root: sandboxes have users of their
	// own, who are nobody on the host.
	IsolationRoot Isolation = Isolation(runtime.IsolationRoot)
	// IsolationContainer is IsolationNative in containers of crun or runc, which
	// share the host's kernel: Config.OCIRuntime.
	IsolationContainer Isolation = Isolation(runtime.IsolationContainer)
	// IsolationOCI is a container of runsc (gVisor) for each sandbox, with a
	// kernel of its own: Config.OCIRuntime. It is above all others.
	IsolationOCI Isolation = Isolation(runtime.IsolationOCI)

	// IsolationNative is Linux namespaces and a private root over the host's
	// read-only /usr, by whichever step the host allows.
	IsolationNative Isolation = Isolation(runtime.IsolationNative)
)

// strength orders isolations; unknown ones have none.
func (i Isolation) strength() int { return runtime.Isolation(i).Strength() }

// ErrIsolation reports that the host cannot isolate sandboxes as far as the
// configuration asks.
var ErrIsolation = errors.New("isolation is below the minimum")

const (
	defaultMaxOutput    = 64 << 20
	defaultMaxUpload    = 16 << 30
	defaultStartTimeout = 2 * time.Minute
	maxBody             = 1 << 20
)

// Config configures a Server. The zero value is a server with a key of its
// own, a data directory that Close removes, native isolation, no network in
// the sandboxes and no quotas.
type Config struct {
	// APIKey is what clients must send. Empty makes a random one, which
	// Server.APIKey returns.
	APIKey string

	// Dir is the data directory, made if missing; one server at a time uses
	// it. Volumes, templates, pools, registries, snapshots and sandboxes, as
	// stopped and with their files, survive a restart and a kill of the server
	// in it. It holds secrets, in files for its owner only. Empty means a
	// temporary directory that Close removes; what a killed server has left
	// of one is removed by the next server with such a directory.
	Dir string

	// Isolation selects how sandboxes are isolated, as one of IsolationNative,
	// IsolationLandlock and IsolationProcess; empty means the strongest way the
	// host allows, which is found by trying.
	Isolation Isolation

	// OCIRuntime is a program that makes containers, by path or as PATH has it:
	// every sandbox is in one then, and New fails with ErrIsolation where that
	// does not work. Empty has the server make sandboxes itself. It excludes
	// Isolation.
	//
	// With runsc (gVisor), for code that is not to reach the host's kernel, it is
	// IsolationOCI. Sandboxes have the host's read-only /usr, one user, root, no
	// images and no limit of processes, and a sandbox that is out of memory ends;
	// starting one takes some hundred milliseconds. PullImages is excluded.
	//
	// With crun or runc it is IsolationContainer, which is IsolationNative with
	// namespaces that the program makes. That takes longer and protects no better:
	// it is for who has to use the program. Others are refused.
	OCIRuntime string

	// MinIsolation is the weakest isolation New accepts, and any step of the
	// ladder; empty means IsolationNative, below which absolute paths are not
	// the sandbox's own. Set it to IsolationProcess only for commands you would
	// run without a sandbox, too.
	MinIsolation Isolation

	// HostNetwork lets sandboxes use the host's network. By default they have
	// only a loopback of their own, and what Egress lets through. With the
	// host's network, proxy configurations are kept and returned, and not
	// enforced, as without isolation.
	HostNetwork bool

	// Egress is what sandboxes may reach through the server's proxy, which
	// then carries out the proxy configurations of sandboxes and templates.
	// The zero value is nothing. It excludes HostNetwork.
	Egress Egress

	// PullImages makes sandboxes of templates and snapshots start from their
	// images, which are pulled from registries, with the credentials that a
	// template or snapshot names; the image "host" is the machine's own /usr.
	// By default images are names that are kept and returned: every sandbox
	// has the machine's /usr, and nothing is pulled. It needs native isolation.
	PullImages bool

	// ImageCacheBytes bounds the unpacked images that are kept, in bytes; 0
	// means 20 GiB. Those in use, and of snapshots, are not removed: a pull
	// that does not fit fails. Pulls may use as much again while they unpack.
	ImageCacheBytes int64

	// InsecureRegistries are hosts, with their port if it is not the usual
	// one, that images may be pulled from without TLS. Registries on this
	// machine always may.
	InsecureRegistries []string

	// Limits are the quotas.
	Limits Limits

	// StartTimeout bounds the start of a sandbox nobody waits for; 0 means two
	// minutes.
	StartTimeout time.Duration

	// MaxOutput bounds what one command may print through the execute
	// operation, standard output and standard error together, in bytes; 0
	// means 64 MiB. A command that prints more is killed and its request fails.
	MaxOutput int64

	// MaxUpload bounds a file that is uploaded, in bytes; 0 means 16 GiB. A
	// larger one is refused with status 413; if its size was not announced,
	// after as much of it was written.
	MaxUpload int64

	// AllowedHosts are host names, without port, that requests may name in
	// their Host header, besides localhost, every IP address and the host of
	// PublicURL. Anything else is refused, so that a web page cannot reach the
	// server through a name it controls. "*" allows all.
	AllowedHosts []string

	// PublicURL is the base URL under which clients reach this server, for
	// the dataplane_url of sandboxes. Empty derives it from each request.
	PublicURL string

	// ServiceDomain is the domain below which each shared port has a host of
	// its own for browsers, such as {sandbox id}--3000.sandboxes.example.com;
	// all names below it must lead to this server. Empty is localhost for a
	// server that is reached on its own machine, which browsers know without
	// being told, and otherwise the host by which the server is reached.
	// Programs need none of this: service_url has a path, and no name.
	ServiceDomain string

	// Logger receives what the server does; nil discards it. Bodies,
	// commands, keys and secrets are never logged.
	Logger *slog.Logger

	// Observe is told of each request once it was answered, for metrics; nil
	// tells nobody. It is called from many goroutines at once and must not
	// wait.
	Observe func(Observation)

	runtime runtime.Runtime      // tests bring their own
	reach   func(*egress.Config) // and their own Internet
}

// Egress is what the operator of a server lets sandboxes reach by HTTP and, in
// tunnels, by TLS and other protocols over TCP. An access list of a sandbox
// narrows it. Sandboxes find the proxy by the usual environment variables.
//
// Whatever is allowed here, addresses that are not public stay out of reach:
// those of private networks, of this machine, loopback and link-local ones and
// the metadata services of clouds. The address counts that a name resolves to.
type Egress struct {
	// Allow lists hosts in the notation of access lists: a name, *.domain for
	// names below it, an address, a range such as 203.0.113.0/24, or an
	// expression after a ~ that matches the whole name. They are for ports 80
	// and 443; name:port and address:port are for that port alone. "*" is
	// every host, on these two ports. Empty allows nothing.
	Allow []string

	// Private opens ranges of addresses that are not public. A range opens
	// what is special within it only if it lies within that special range:
	// 0.0.0.0/0 opens neither loopback nor private networks. The machine's own
	// addresses and metadata services need the very address, as a /32 or /128.
	Private []netip.Prefix

	// Secrets are the workspace secrets, by name, that header rules of proxy
	// configurations refer to. Naming any other is refused.
	Secrets map[string]string

	// RootCAs are trusted for hosts that get headers by rules; nil means what
	// this machine trusts.
	RootCAs *x509.CertPool
}

// Limits are the quotas of a server. 0 means no limit. A request that goes
// over one is answered with status 429 and a message that names it.
type Limits struct {
	Sandboxes     int   // sandboxes, those waiting in pools and stopped ones included
	CPUMillicores int64 // CPU of running sandboxes, in thousandths of a core
	MemoryBytes   int64 // memory of running sandboxes, in bytes
	Volumes       int   // volumes
	StorageBytes  int64 // sizes of all volumes, in bytes
	Snapshots     int   // snapshots, whatever became of them; the built-in one does not count
}

func (c Config) withDefaults() (Config, error) {
	c.APIKey = cmp.Or(c.APIKey, "local_"+randomHex(20))
	c.MinIsolation = cmp.Or(c.MinIsolation, IsolationNative)
	c.StartTimeout = cmp.Or(c.StartTimeout, defaultStartTimeout)
	c.MaxOutput = cmp.Or(c.MaxOutput, defaultMaxOutput)
	c.MaxUpload = cmp.Or(c.MaxUpload, defaultMaxUpload)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c, c.check()
}

var domainName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$`)

// gateway opens the way out of the sandboxes.
func (c Config) gateway(sign func(address string, body []byte) (string, error)) (*egress.Gateway, error) {
	cfg := egress.Config{
		Policy:  egress.Policy{Allow: c.Egress.Allow, Private: c.Egress.Private, Secrets: c.Egress.Secrets},
		RootCAs: c.Egress.RootCAs, Logger: c.Logger, Sign: sign,
	}
	if c.reach != nil {
		c.reach(&cfg)
	}
	g, err := egress.NewGateway(cfg)
	if err != nil {
		return nil, fmt.Errorf("sandboxserver: egress: %w", err)
	}
	return g, nil
}

func (c Config) check() error {
	if strings.TrimSpace(c.APIKey) != c.APIKey {
		return errors.New("sandboxserver: API key has blanks around it")
	}
	if i := cmp.Or(c.Isolation, IsolationNative); i.strength() == 0 || runtime.Isolation(i).Class() != runtime.Isolation(i) {
		return fmt.Errorf("sandboxserver: unknown isolation %q: use %q, %q or %q", i, IsolationNative, IsolationLandlock, IsolationProcess)
	}
	if c.Isolation == IsolationOCI {
		return fmt.Errorf("sandboxserver: isolation %q needs Config.OCIRuntime, and not Config.Isolation", c.Isolation)
	}
	if c.OCIRuntime != "" && c.Isolation != "" {
		return errors.New("sandboxserver: OCIRuntime excludes Isolation")
	}
	if c.MinIsolation.strength() == 0 {
		return fmt.Errorf("sandboxserver: unknown isolation %q: use %q or one of %q", c.MinIsolation, IsolationNative, runtime.Ladder)
	}
	l := c.Limits
	if min(int64(l.Sandboxes), l.CPUMillicores, l.MemoryBytes, int64(l.Volumes), l.StorageBytes, int64(l.Snapshots), c.ImageCacheBytes, c.MaxOutput, c.MaxUpload, int64(c.StartTimeout)) < 0 {
		return errors.New("sandboxserver: limits must not be negative")
	}
	if d := c.ServiceDomain; d != "" && (!domainName.MatchString(d) || net.ParseIP(d) != nil) {
		return fmt.Errorf("sandboxserver: service domain %q must be a host name without scheme and port", d)
	}
	if c.HostNetwork && len(c.Egress.Allow) > 0 {
		return errors.New("sandboxserver: HostNetwork and Egress exclude each other")
	}
	if c.PublicURL == "" {
		return nil
	}
	u, err := url.Parse(c.PublicURL)
	if err != nil {
		return fmt.Errorf("sandboxserver: public URL: %w", err)
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return fmt.Errorf("sandboxserver: public URL %q must be an absolute http or https address", c.PublicURL)
	}
	return nil
}
