// Package sandboxauth checks who calls: services in a sandbox that people log
// in to, and endpoints that the proxy of a sandbox calls back.
//
// A service that is shared by login gets a signed token with every request, in
// [UserTokenHeader]:
//
//	verifier, err := sandboxauth.NewVerifier(nil)
//	...
//	user, err := verifier.User(r.Context(), r.Header.Get(sandboxauth.UserTokenHeader), "host-of-the-service")
//
// An endpoint that is named as a callback of a proxy configuration gets a
// signature of the body, in [CallbackHeader]; see [Verifier.Callback].
//
// Only signed statements count. The headers X-Langsmith-User-Id and
// X-Langsmith-User-Email are set by the runtime too, but nothing in them shows
// by whom.
//
// Keys come from the API, are kept for five minutes, and fetched once for all
// who wait. A token that names a key not known has them fetched anew, at most
// every 30 seconds. The package needs nothing but the standard library.
package sandboxauth
