//go:build linux && !amd64 && !arm64

package sandboxagent

// Without a known architecture there is no filter.
const (
	filterArch   = 0
	foreignCalls = 0
)
