package transport

import (
	"runtime"
	"runtime/debug"
	"sync"
)

const modulePath = "github.com/langsandbox/sandbox-go"

// Version is the version of this module in the running program, from its
// build information; "devel" where that has none.
var Version = sync.OnceValue(func() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "devel"
	}
	if info.Main.Path == modulePath {
		return known(info.Main.Version)
	}
	for _, dep := range info.Deps {
		if dep.Path == modulePath {
			return known(dep.Version)
		}
	}
	return "devel"
})

func known(version string) string {
	if version == "" || version == "(devel)" {
		return "devel"
	}
	return version
}

// UserAgent names this module, its version, and the Go release and platform
// it was built for.
func UserAgent() string {
	return "langsandbox-go/" + Version() + " (" + runtime.Version() + "; " + runtime.GOOS + "/" + runtime.GOARCH + ")"
}
