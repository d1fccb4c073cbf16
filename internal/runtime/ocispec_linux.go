package runtime

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"

	"github.com/langsandbox/sandbox-go/internal/sandboxagent"
)

// The part of the runtime specification that containers of sandboxes need.
type ociSpec struct {
	Version  string     `json:"ociVersion"`
	Process  ociProcess `json:"process"`
	Root     ociRoot    `json:"root"`
	Hostname string     `json:"hostname"`
	Mounts   []ociMount `json:"mounts"`
	Linux    ociLinux   `json:"linux"`
}

type ociProcess struct {
	Terminal        bool                `json:"terminal"`
	User            ociUser             `json:"user"`
	Args            []string            `json:"args"`
	Env             []string            `json:"env"`
	Dir             string              `json:"cwd"`
	Capabilities    map[string][]string `json:"capabilities"`
	NoNewPrivileges bool                `json:"noNewPrivileges"`
}

type ociUser struct {
	UID int `json:"uid"`
	GID int `json:"gid"`
}

type ociRoot struct {
	Path     string `json:"path"`
	ReadOnly bool   `json:"readonly"`
}

type ociMount struct {
	Target  string   `json:"destination"`
	Type    string   `json:"type"`
	Source  string   `json:"source"`
	Options []string `json:"options,omitempty"`
}

type ociLinux struct {
	Namespaces []ociNamespace `json:"namespaces"`
}

type ociNamespace struct {
	Type string `json:"type"`
}

// guestDir is where a container finds its agent.
const guestDir = "/dev/sandbox"

// bundle writes the configuration of a container whose root is below dir.
// Program is what to start as its agent, host what it sees of the host.
func bundle(dir, program string, host []string, spec Spec) error {
	c := ociSpec{
		Version: "1.0.2", Hostname: spec.Hostname,
		Root: ociRoot{Path: filepath.Join(dir, snapshotRoot)},
		Process: ociProcess{
			Args: []string{sandboxagent.Name}, Dir: "/", NoNewPrivileges: true,
			Env:          []string{"PATH=" + guestDir, sandboxagent.GuestMarker, agentThreads},
			Capabilities: map[string][]string{},
		},
		Mounts: []ociMount{
			{"/proc", "proc", "proc", []string{"nosuid", "noexec", "nodev"}},
			{"/dev", "tmpfs", "tmpfs", []string{"nosuid", "mode=755", "size=64k"}},
			{"/dev/pts", "devpts", "devpts", []string{"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"}},
			{"/dev/shm", "tmpfs", "shm", []string{"nosuid", "nodev", "mode=1777", "size=256m"}},
		},
	}
	for _, set := range []string{"bounding", "effective", "permitted"} {
		c.Process.Capabilities[set] = sandboxagent.CommandCaps()
	}
	for _, kind := range []string{"pid", "ipc", "uts", "mount"} {
		c.Linux.Namespaces = append(c.Linux.Namespaces, ociNamespace{kind})
	}
	if !spec.HostNetwork {
		c.Linux.Namespaces = append(c.Linux.Namespaces, ociNamespace{"network"})
	}
	bind := func(source, target string, readOnly bool) {
		m := ociMount{target, "bind", source, []string{"rbind", "rprivate", "nosuid", "nodev"}}
		if readOnly {
			m.Options = append(m.Options, "ro")
		}
		c.Mounts = append(c.Mounts, m)
	}
	for _, name := range host {
		bind(name, name, true)
	}
	// Else runsc has a /tmp of its own, where nobody finds what is in the root's.
	bind(filepath.Join(c.Root.Path, "tmp"), "/tmp", false)
	for _, m := range spec.Mounts {
		bind(m.Source, m.Target, m.ReadOnly)
	}
	bind(program, guestDir+"/"+sandboxagent.Name, true)
	data, err := json.Marshal(c)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "config.json"), data, 0o600)
}

// containerID is how a sandbox is called among the containers of this machine.
// It has one length, since runsc finds containers also by how they begin.
func (l *layers) containerID(id string) string {
	name := fnv.New64a()
	name.Write([]byte(l.path(id)))
	return fmt.Sprintf("langsandbox-%016x", name.Sum64())
}
