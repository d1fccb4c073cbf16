package sandboxserver

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestSigningKey: tokens outlive a restart with a data directory, and no key
// is made in place of a damaged one.
func TestSigningKey(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, err := openSigner(dir)
	if err != nil {
		t.Fatal(err)
	}
	token, err := first.sign(claims{Kind: tokenService, Sandbox: "s", Port: 80})
	if err != nil {
		t.Fatal(err)
	}
	second, err := openSigner(dir)
	if err != nil {
		t.Fatal(err)
	}
	if c, err := second.verify(token, tokenService, time.Now()); err != nil || c.Port != 80 {
		t.Errorf("%+v, %v", c, err)
	}
	file := filepath.Join(dir, signingKeyName)
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if other, err := openSigner(t.TempDir()); err != nil {
		t.Error(err)
	} else if _, err := other.verify(token, tokenService, time.Now()); err == nil {
		t.Error("two servers have one key")
	}
	if err := os.WriteFile(file, []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openSigner(dir); err == nil || !strings.Contains(err.Error(), signingKeyName) {
		t.Errorf("a damaged key: %v", err)
	}
}

// FuzzSignature: nothing that was not signed passes, and nothing breaks.
func FuzzSignature(f *testing.F) {
	s, err := openSigner(f.TempDir())
	if err != nil {
		f.Fatal(err)
	}
	good, err := s.sign(claims{Kind: tokenDownload, Sandbox: "s", Path: "/a"})
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{good, "", "..", "a.b.c", good + "=", good + "\n", strings.ToUpper(good), tokenHeader + ".e30."} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, token string) {
		if _, err := s.verify(token, tokenDownload, time.Now()); err == nil && token != good {
			t.Errorf("%q passes", token)
		}
		if _, err := s.verify(token, tokenService, time.Now()); err == nil {
			t.Errorf("%q passes for another use", token)
		}
	})
}
