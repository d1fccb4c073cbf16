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
// generation, under /v2/sandboxes and /api/v2/sandboxes alike. Commands and
// files of a sandbox are below its dataplane_url, and below both prefixes at
// {sandbox name or id}/execute, /upload and /download.
//
// Every request needs the key: as X-Api-Key, as a bearer token together with
// X-Tenant-Id or X-Organization-Id, or as X-Service-Key. Requests that do not
// fit the API description are answered with status 422 and a list of problems.
//
// # Isolation
//
// Sandboxes are real processes in a private root over the host's read-only
// /usr, with a file tree, process tree and network of their own
// ([IsolationNative], Linux). All share the host's kernel: this keeps mistakes
// in, and is no place for hostile code. Where the host refuses namespaces
// there is only [IsolationProcess], which is no isolation, and which [New]
// refuses unless [Config.MinIsolation] accepts it.
//
// # What differs from the hosted service
//
//   - Images are not pulled: a template's image is kept and returned, and the
//     programs are those of the host's /usr.
//   - CPU, memory and disk sizes count against the quotas and do not limit
//     the processes; volumes are directories that grow as the disk allows.
//   - There are no snapshots, registries, service URLs or tunnels, and no
//     proxy: proxy configurations are kept and returned, not enforced.
//   - Sandboxes end with the server; volumes, templates and pools survive it
//     where a data directory is given.
//   - A command that reaches its timeout is killed with all its descendants
//     and answered with status 408 and code CommandTimeout (where the host
//     lends no cgroup, a descendant that left its session and cleared its
//     environment lives as long as the sandbox); one that prints
//     more than [Config.MaxOutput] likewise, with CommandError. No exit code is
//     made up.
//   - A sandbox's idle timer, 600 seconds unless the request says otherwise,
//     deletes it if it was made from a template, and stops it otherwise.
package sandboxserver
