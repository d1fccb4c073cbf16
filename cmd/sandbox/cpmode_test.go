package main

import (
	"os"
	"path/filepath"
	"testing"
)

// TestCpOverFiles: a file that is replaced is still what it was.
func TestCpOverFiles(t *testing.T) {
	t.Parallel()
	c := newCopier(t)
	c.inside("mkdir dir; echo new > f; echo x > t; chmod 0755 t")
	c.local("secret", "old", 0o600)
	c.must("box:f", "secret")
	if info, err := os.Stat(filepath.Join(c.dir, "secret")); err != nil || info.Mode() != 0o600 || c.read("secret") != "new\n" {
		t.Errorf("a file of 0600 became %v, %v", info.Mode(), err)
	}
	c.local("real", "old", 0o640)
	if err := os.Symlink("real", filepath.Join(c.dir, "link")); err != nil {
		t.Fatal(err)
	}
	c.must("box:f", "link")
	if target, err := os.Readlink(filepath.Join(c.dir, "link")); target != "real" || err != nil || c.read("real") != "new\n" {
		t.Errorf("a link became %q, %v", target, err)
	}
	// In, with the permissions of the source over others, and to directories.
	c.local("plain", "p", 0o644)
	c.must("plain", "box:t")
	c.must("plain", "box:"+c.home+"/t")
	if got := c.inside("stat -c %a t; cat t"); got != "644\np" {
		t.Errorf("over 0755: %q", got)
	}
	for _, to := range []string{".", "dir", "./dir/", c.home + "/dir"} {
		c.inside("rm -f plain dir/plain")
		c.must("plain", "box:"+to)
		if got := c.inside("cat plain dir/plain 2>/dev/null"); got != "p" {
			t.Errorf("to %s: %q", to, got)
		}
	}
}
