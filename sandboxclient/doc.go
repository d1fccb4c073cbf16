// Package sandboxclient is a client of the LangSmith Sandbox Server API: it
// manages volumes, templates, pools, snapshots, registries and sandboxes, and
// runs commands and moves files inside a sandbox.
//
//	c, err := sandboxclient.New()
//	...
//	sb, err := c.Ephemeral(ctx, nil) // or a template, a snapshot, sizes
//	...
//	defer func() { err = errors.Join(err, sb.Close()) }()
//	res, err := sb.Run(ctx, "python --version", nil)
//
// # Requests and answers
//
// Request and answer types are generated from the API description and
// re-exported here. In requests the zero value leaves the choice to the
// server; where zero itself means something the field is a pointer, written
// new(0). In answers zero means that the server said nothing. Nothing that a
// caller passes in is modified or kept.
//
// # Commands
//
// [Sandbox.Run] runs a script and returns its output. [Sandbox.Command] and
// [Sandbox.Shell] make a [Cmd], which streams output, takes input, or has a
// terminal. Each has an id that the sandbox knows it by, so a start that is
// repeated does not run it twice; a lost connection is made anew within
// [CommandPolicy], and output goes on where it was. What cannot be told is
// never guessed: a command out of reach is a [DisconnectError], output that the
// sandbox no longer had a [GapError], and input that may or may not have
// arrived matches [ErrOutcomeUnknown]. [Sandbox.Attach] finds a command again.
//
// The stream carries text. Bytes of output that are not UTF-8 arrive as U+FFFD;
// input that is not UTF-8 is an error.
//
// # Services
//
// [Sandbox.Service] is an HTTP service that listens in the sandbox, as an
// [net/http.RoundTripper] whose requests have a token that is renewed in time;
// it reaches nothing else. [Service.BrowserURL] is for people, and
// [Sandbox.DownloadURL] makes links to files. Package sandboxauth verifies who
// calls a service that people log in to.
//
// # Files
//
// [Sandbox.Download] and [Sandbox.Upload] stream; a download whose connection is
// lost goes on by itself, as long as the file is the same. [Sandbox.Stat],
// [Sandbox.ReadDir], [Sandbox.Glob] and [Sandbox.Grep] look around, and
// [Sandbox.FS] is a directory as an fs.FS. [Sandbox.CopyFS] and [Sandbox.CopyTo]
// copy trees, each as one stream.
//
// What the API has a route for goes there: to read, write, describe and find
// files. All else is done by a command, once: [Sandbox.MkdirAll],
// [Sandbox.Rename], [Sandbox.Remove], [Sandbox.RemoveAll] and the copies of
// trees. They see the paths that commands see, which in a local sandbox without
// isolation are those of the host, where routes stay in the sandbox's own
// directory; relative paths and those below the home directory mean the same to
// both.
//
// # Ports
//
// [Sandbox.DialContext] connects to a port inside the sandbox, and fits
// wherever a net.Dialer's method does; [Sandbox.Tunnel] listens on this machine
// for programs that are not written in Go. Both share one connection to the
// sandbox, whose windows grow with what the network takes, and which holds back
// a stream that is not read from without holding up the others.
//
// # Contexts
//
// Every call that sends something takes a context and ends with it. Calls that
// wait for the server tell it how long the context allows. Beyond that each
// attempt of a request is bounded, see [WithRequestTimeout]; commands and file
// transfers are bounded by their own timeout and the context.
//
// # Repeated requests
//
// A request is repeated, within [RetryPolicy], when its connection could not be
// made, and, unless it creates or runs something, when the answer is 429, 502,
// 503 or 504. A create is repeated after 429 and 503, which say that nothing
// was begun. [Sandbox.Execute] is repeated only after a 503 that says the
// sandbox is starting and did not get it. A request whose answer was lost is
// not repeated; where it may have had an effect, the error matches
// [ErrOutcomeUnknown]. The policy may improve between releases.
//
// # Errors
//
// Errors answer two questions: what to do, through errors.Is and the Err...
// values, and what happened, through errors.As and [APIError], [ArgumentError],
// [WaitError], [ExitError], [CommandError], [DisconnectError], [GapError] and
// [TunnelError].
// Errors of file calls are also *fs.PathError. No error holds the API key.
//
// # Credentials
//
// The API key goes to the endpoint and to the data-plane addresses that the
// endpoint names, and to no other host, services in sandboxes included:
// redirects are errors. It goes over plain
// http to this machine only, unless [WithPlaintext] is given.
//
// # Concurrency
//
// [Client], [Sandbox], [Ephemeral], [Process], [Service] and [Tunnel] are safe
// for concurrent use; a [Cmd] is while nobody changes it.
package sandboxclient
