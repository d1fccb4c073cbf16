// Package sandbox holds the contract of the LangSmith Sandbox Server API,
// openapi.yaml, from which the wire types, the low-level client and the
// server interface of this module are generated.
package sandbox

import _ "embed"

//go:generate go run github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen -config gen/config.yaml openapi.yaml
//go:generate go run github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen -config internal/genserver/config.yaml openapi.yaml

// OpenAPI is the API description, an OpenAPI 3.0.3 document in YAML. The
// local server validates requests against it. Callers must not modify it.
//
//go:embed openapi.yaml
var OpenAPI []byte
