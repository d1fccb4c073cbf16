package sandboxclient

import "testing"

// FuzzContentRange: no header makes a download lose its place.
func FuzzContentRange(f *testing.F) {
	for _, seed := range []string{"bytes 0-9/10", "bytes 5-9/*", "bytes 9-5/10", "bytes -1-5/10", "bytes 0-9223372036854775807/*", "items 0-1/2", "bytes 0-18446744073709551615/1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		r, ok := contentRange(header)
		if ok && (r.start < 0 || r.end <= r.start || r.total != -1 && r.total < r.end) {
			t.Errorf("%q is %+v", header, r)
		}
	})
}
