// Package sandboxserver serves the LangSmith Sandbox Server API from this
// machine: for development without a network, for tests, for CI without a key.
//
// A [Server] is an [net/http.Handler] that binds nothing itself:
//
//	server, err := sandboxserver.New(sandboxserver.Config{})
//	if err != nil {
//		return err
//	}
//	defer server.Close()
//	http.ListenAndServe("127.0.0.1:8080", server)
//
// # What it serves
//
// Volumes, templates, pools, sandboxes and usage of the API's first
// generation, sandboxes and snapshots of the second, and registries, under
// /v2/sandboxes and /api/v2/sandboxes alike. Commands and files of a sandbox
// are below its dataplane_url, and below both prefixes at {sandbox name or
// id}/execute, /execute/ws, /tunnel, /upload and /download. A request there
// wakes a stopped sandbox; one that was made from a template has to be started,
// as in the first generation.
//
// Every request needs the key: as X-Api-Key, as a bearer token together with
// X-Tenant-Id or X-Organization-Id, or as X-Service-Key. Requests that do not
// fit the API description are answered with status 422 and a list of problems.
//
// # Commands
//
// The command stream at /execute/ws starts a command or attaches to one by the
// id that its client chose. Several clients may be attached to a command; each
// reads its output from an exact byte offset, at its own pace.
//
//   - A command waits for the client that is furthest ahead, and loses nothing
//     that this client has not answered a ping for. Without a client, or with
//     one that stands still for 15 seconds, it goes on: the last 2 MiB of each
//     stream are kept in memory, 64 MiB more in a file below [Config.Dir]. When
//     that is full it waits for a client, 5 minutes at most, and from then on
//     the oldest output is dropped. A client sees that as an offset larger than
//     the one it asked for.
//   - Bytes that are not UTF-8 are sent as one U+FFFD each, and offsets count
//     them as the one byte they are. A client that saw U+FFFD in its last chunk
//     asks for that chunk's offset again.
//   - exit follows the last output of the command itself. What it leaves in the
//     background keeps running; its output is waited for while it does not pause,
//     half a second at most, and thrown away from then on.
//   - The idle timeout, one hour unless the client says otherwise, kills a
//     command without clients. Results are kept for 5 minutes unless the client
//     says otherwise, 4096 for each sandbox, and until the sandbox stops.
//   - The execute operation runs a command of the same kind without input, and
//     keeps nothing of it: it has no id, and is killed when its client goes.
//   - A client that leaves pings unanswered for a minute is disconnected. So is
//     everyone when the server shuts down, with status 1001.
//
// # Snapshots
//
// A snapshot of a sandbox has the files that are its own, what it put into /usr
// included, and not those of its volumes, sockets, /etc/hostname and /etc/hosts.
// It never changes. With isolation "native" the sandbox's commands stand still
// while its files are copied, where there are cgroups of the second version, so
// that all are as at one moment; uploads go on. Otherwise commands go on, and
// each file is as it was when it was copied: stop the sandbox first, or have its
// programs finish writing, where files belong together.
//
// With isolation "native" and overlayfs, sandboxes made of a snapshot lie over
// its files, which takes the same time however many there are, and a snapshot
// of such a sandbox has only what it changed; up to 16 lie over each other
// before they are made one. The files of a snapshot that is deleted go with the
// last snapshot that needs them. As in containers, a directory of the snapshot
// cannot be renamed by a program that does not copy it when that fails with
// EXDEV, and a file with several names gets one of its own when it is changed.
// Otherwise each sandbox has a copy.
//
//   - fs_used_bytes is what the files take on a disk with blocks of 4 KiB: their
//     data without holes, a block for each directory, 256 bytes for each inode.
//     A snapshot whose files take more than its fs_capacity_bytes fails.
//   - A snapshot of an image has the image's files with [Config.PullImages]:
//     it is building while they are pulled. Without, it has no files, and the
//     programs are those of the host's /usr.
//   - A tag stays with the ready snapshot that has it until another one that is
//     made for it is ready.
//   - A snapshot that a sandbox was made of cannot be deleted before the
//     sandbox: status 409.
//   - system/default:latest is the empty file system of sandboxes that name
//     nothing.
//   - Settings that are included are kept in the data directory with their
//     secrets, readable to its owner only.
//
// # Services and links
//
// A port of a sandbox that is shared (POST /boxes/{name}/service-url) has two
// addresses:
//
//   - service_url is for programs: a path of this server, /svc/{id}--{port}/,
//     which needs no name that somebody would have to look up. Requests send the
//     token as X-Langsmith-Sandbox-Service-Token; cookies count for nothing
//     there. Redirects of the service and paths of its cookies are moved below
//     the path, which it learns from X-Forwarded-Prefix.
//   - browser_url and embed_url are for browsers: a host for each port,
//     {id}--{port}.localhost or what [Config.ServiceDomain] says, because a page
//     must not share its origin with other services and the API. /_svc/auth
//     makes a cookie of the token, which is for this host alone, and pages of
//     other origins are not let in by it. On a server that is reached by an
//     address without a name, other than loopback, there are no such hosts.
//
// Token, cookie and the API's key are taken out before a request enters the
// sandbox, and so are headers that say who somebody is. Everything else passes
// in both directions as it comes, connections included. Where a port is shared
// by login, the login is the key of this server: as X-Api-Key, or as the
// password a browser asks for, with whatever user name, since there are no
// users here; so restricted and workspace mean the same. The service is told of
// one user, "local", by X-Langsmith-User-Token; the key to check it with is at
// /.well-known/jwks.json, and its issuer PublicURL, or else http://localhost.
// Connections that a login let in end when it is taken back; what a token let
// in goes on.
//
// A download link is a path of this server too, /dl/{token}/{name of the file}.
// Tokens and links are signed with a key in the data directory, and so outlive
// a restart if there is one. Links answer 403 when they have expired, were
// altered or are another server's, and 404 when file or sandbox are gone.
//
// # Files
//
//   - A file's ETag is strong: it changes with the file's inode, size and times,
//     the one of its last change of any kind among them, where the host tells it.
//     Several ranges are answered as multipart/byteranges; If-Match and
//     If-Unmodified-Since are answered with 412.
//   - An upload makes missing directories. One beyond [Config.MaxUpload] is
//     refused with 413. A broken one leaves what came.
//   - glob and grep open what they look at from inside the sandbox, do not
//     follow links on the way down, and leave out what cannot be read, the files
//     of the kernel among it. They return 10,000 files and 1,000 lines unless
//     the request says otherwise, 100,000 and 16 MiB at most, and look at a
//     million names and 4 GiB of content at most; a result cut short says so.
//     A pattern without a slash in the glob of grep is one of file names; files
//     with a zero byte in their first 8 KiB are not text; of a line 2 KiB are
//     sent.
//
// # Network
//
// Sandboxes have a loopback of their own and nothing else. What [Config.Egress]
// allows they reach through a proxy of the server that listens there, one for
// each sandbox: HTTP as such, all else in tunnels (CONNECT). Commands find it by
// HTTP_PROXY and its like, which run config, rules, sandbox and command can set
// otherwise; programs that know no proxy reach nothing. Without Egress,
// sandboxes with a proxy configuration have a proxy that says so.
//
//   - proxy_config.access_control narrows what the operator allows; without it
//     that is HTTP and TLS on ports 80 and 443. An expression (~) of an allow
//     list must match the whole name, one of a deny list any part of it. A range
//     in an allow list is for hosts given as addresses, and not for names, which
//     are not looked up unless they are allowed; one in a deny list is for both.
//     Names are looked up by the server. The name that a client gives in TLS has
//     to be allowed as well as the host of its tunnel, since one address serves
//     many names; what else is in a tunnel is not looked at.
//   - Header rules apply to HTTP, and to HTTPS for hosts that rules or callbacks
//     name: there the proxy ends TLS itself, with certificates of an authority
//     that exists only in this server's memory. Only sandboxes with such rules
//     trust it, by SSL_CERT_FILE and its like, which name a file with the
//     machine's public certificates and this one. Everything else is tunnelled
//     as it is.
//   - Opaque values and workspace secrets, which are [Egress.Secrets], are sent
//     by verified TLS only: over plain HTTP such a request is refused with 403.
//     Answers that repeat one have stars in its place; one that is encoded,
//     compressed or sent in other ways than as it is passes, so let rules name
//     hosts that do not give back what they are sent. A rule with secrets has to
//     name its hosts.
//   - Callbacks are asked with host, port and identity, not with the full
//     request. What they are asked is signed, in X-LangSmith-Signature-JWT, by
//     the key of the user tokens. Their endpoint is subject to Egress, too, and
//     what they return counts as secret.
//   - no_proxy is ignored, as by newer servers: there is no other way out.
//   - A new configuration holds at once, and ends tunnels and requests that it
//     does not allow.
//
// # Isolation
//
// Sandboxes are real processes in a private root over the host's read-only
// /usr, with a file tree, process tree and network of their own
// ([IsolationNative], Linux), or, where the host refuses namespaces, behind a
// fence of Landlock and seccomp ([IsolationLandlock]). All share the host's
// kernel: this keeps mistakes in, and is no place for hostile code. With
// [Config.OCIRuntime] they are containers of gVisor ([IsolationOCI]), which have
// a kernel of their own, and neither images nor users besides root, or of crun
// or runc ([IsolationContainer]), which are like IsolationNative.
// [IsolationProcess] is no isolation. [New] takes the strongest step that works
// and refuses one below [Config.MinIsolation]; docs/isolation.md says what each
// protects, and sandbox doctor what works here.
//
// # State
//
// With [Config.Dir], everything outlives the server, also one that is killed:
// what a client got an answer for is there. Sandboxes are stopped then, and
// have their files.
//
//   - The records are in state.db, which is written and synced before a change
//     is answered. Nothing is seen as ready before its record is there. Files of
//     snapshots are synced before that; those of sandboxes and volumes are as
//     after a power failure, if there was one.
//   - A change that cannot be saved, as on a full disk, is made nevertheless,
//     answered with status 500, and saved with the next one that can be.
//   - A server refuses a store of a later version, a damaged one, and a
//     directory with files and no store. It repairs and deletes nothing then.
//   - A sandbox that was starting for the first time has failed or is gone; a
//     snapshot that was being made has failed. One that is not persistent has
//     lost its files, as with any stop. Files made with one isolation cannot be
//     started with another.
//   - Lifetimes go on by the clock: what has expired is deleted at the start.
//     The idle time of a sandbox of a template goes on, too, after [Server.Close];
//     after a kill it begins anew.
//   - Leftovers are removed at the start: of creations, captures and deletions
//     that a kill cut off. What cannot be removed is logged; what somebody else
//     put beside the files of volumes and snapshots stays.
//   - Environment variables, opaque values of proxy configurations, passwords of
//     registries and the key that signs links are kept as they are, in files of
//     mode 0600. Whoever can read the directory has them.
//
// # What differs from the hosted service
//
//   - Images are pulled with [Config.PullImages] only. Without, a template's
//     image is kept and returned, and the programs are those of the host's
//     /usr, which the image "host" is in any case. Commands run as the user of
//     the image, or of run_config, by the names that the sandbox's own files
//     have, and in the image's working directory; for a server that is neither
//     root nor has subordinate ids there is only one user in a sandbox, root, and
//     others are refused with 501. Files are written as root. Nothing starts the
//     image's own command.
//     A sandbox keeps to the image that it started with first. An image that
//     cannot be had is ImagePull, one that no sandbox can be made of CrashLoop.
//   - CPU and memory of a template or sandbox limit all that runs in it, from
//     the next start on, where this server may write cgroups: a command that
//     takes more memory is killed, with exit code 137. Elsewhere, as without
//     isolation, they only count against the quotas, like sizes that nobody
//     gave. 4096 processes and threads are the limit with cgroups, and without
//     them on Linux 5.14 for a server that is not root, or on 6.14. The log
//     says at the start which limits do not hold.
//   - The disk size of a sandbox, snapshot or template (storage) limits each
//     file, uploads included, to as much as the disk or the largest volume has,
//     and not all files together: those grow as the machine's disk allows.
//   - Everything is created and changed by one user, "local".
//   - Registries that log in with an AWS role are
//     refused with status 501 and code NotSupported, like the costs of usage,
//     mounts of buckets and repositories, proxy rules with credentials of
//     providers, memory that outlives a stop or is in a snapshot, checkpoints,
//     images of a Docker inside a sandbox, delegated access, and all else that
//     one machine does not have.
//   - The processes of sandboxes end with the server; see State for the rest.
//   - There is no socket to the client's SSH agent.
//   - A command that reaches its timeout is killed with all its descendants
//     and answered with status 408 and code CommandTimeout (where the host
//     lends no cgroup, a descendant that left its session and cleared its
//     environment lives as long as the sandbox); one that prints
//     more than [Config.MaxOutput] to the execute operation likewise, with
//     CommandError. No exit code is
//     made up.
//   - A sandbox's idle timer, 600 seconds unless the request says otherwise,
//     deletes it if it was made from a template, and stops it otherwise.
package sandboxserver
