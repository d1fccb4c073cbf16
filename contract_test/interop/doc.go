// Package interop runs programs of the official SDKs, unmodified and pinned by
// lock files, against the local server, and writes what came of it to
// docs/compatibility.md. Its tests need Node.js, Python and the registries of
// packages, so they have the build tag interop: make interop runs them.
package interop
