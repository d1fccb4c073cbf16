// Package gen holds the wire types and the low-level client of the LangSmith
// Sandbox Server API, generated from openapi.yaml. Its names follow the API
// and change with it; package sandboxclient is the part to program against,
// and re-exports the types that its calls take and return.
package gen
