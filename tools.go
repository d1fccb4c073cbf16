//go:build tools

// Package sandbox pins the code generator in go.mod, and nothing else: every
// module named here enters the module graph of whoever imports the SDK.
package sandbox

import _ "github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen"
