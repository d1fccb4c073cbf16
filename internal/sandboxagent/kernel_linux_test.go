package sandboxagent

import "testing"

func TestKernelAtLeast(t *testing.T) {
	t.Parallel()
	for release, want := range map[string]bool{
		"6.14.0": true, "6.14-rc1": true, "6.18.44-fc": true, "7.0": true, "6.13.9": false, "5.19.0-generic": false, "": false, "x.y": false,
	} {
		if got := releaseAtLeast(release, 6, 14); got != want {
			t.Errorf("%q: %v", release, got)
		}
	}
}
