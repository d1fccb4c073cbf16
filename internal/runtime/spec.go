package runtime

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
)

var idPattern = regexp.MustCompile(`^[a-z0-9-]{1,64}$`)

// maxMillicores is more than any machine has.
const maxMillicores = 1 << 30

// maxHostname is the kernel's limit.
const maxHostname = 64

// checked returns the spec with its defaults, or why it is not valid.
func (s Spec) checked() (Spec, error) {
	if !idPattern.MatchString(s.ID) {
		return s, fmt.Errorf("invalid sandbox id %q", s.ID)
	}
	if s.Hostname == "" {
		s.Hostname = s.ID
	}
	if len(s.Hostname) > maxHostname || strings.ContainsAny(s.Hostname, " \t\r\n\x00/:") {
		return s, fmt.Errorf("invalid hostname %q", s.Hostname)
	}
	if l := s.Limits; min(l.CPUMillicores, l.MemoryBytes, l.PIDs, l.FileBytes) < 0 || l.CPUMillicores > maxMillicores {
		return s, fmt.Errorf("invalid limits %+v", l)
	}
	if s.Base != "" && !filepath.IsAbs(s.Base) {
		return s, fmt.Errorf("base %q is not absolute", s.Base)
	}
	if s.Base != "" {
		s.Base = filepath.Clean(s.Base)
	}
	for _, m := range s.Mounts {
		if err := m.check(); err != nil {
			return s, err
		}
	}
	var err error
	if s.Image, err = s.Image.checked(); err != nil {
		return s, err
	}
	s.Mounts = slices.Clone(s.Mounts)
	// A mount below another one comes after it.
	slices.SortStableFunc(s.Mounts, func(a, b Mount) int { return strings.Compare(a.Target, b.Target) })
	return s, nil
}

func (m Mount) check() error {
	if !filepath.IsAbs(m.Source) {
		return fmt.Errorf("mount source %q is not absolute", m.Source)
	}
	if !path.IsAbs(m.Target) || path.Clean(m.Target) != m.Target || strings.ContainsRune(m.Target, 0) {
		return fmt.Errorf("mount target %q is not absolute and clean", m.Target)
	}
	for _, taken := range []string{"/dev", "/proc", "/sys", "/usr", "/etc"} {
		if m.Target == "/" || m.Target == taken || within(m.Target, taken) && taken != "/usr" && taken != "/etc" {
			return fmt.Errorf("mount target %q is the system's", m.Target)
		}
	}
	return nil
}

// checkSource makes sure that there is a directory to mount.
func (m Mount) checkSource() error {
	info, err := os.Stat(m.Source)
	if err == nil && !info.IsDir() {
		err = syscall.ENOTDIR
	}
	if err != nil {
		return fmt.Errorf("mount source %s: %w", m.Source, err)
	}
	return nil
}

// within reports whether name is below dir.
func within(name, dir string) bool {
	return strings.HasPrefix(name, strings.TrimSuffix(dir, "/")+"/")
}
