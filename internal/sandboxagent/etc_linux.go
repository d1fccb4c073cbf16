package sandboxagent

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path"
	"strings"
)

// etcFiles are copied from the host. None of them tells who uses the host or
// holds a secret.
var etcFiles = []string{
	"bash.bashrc", "debian_version", "gai.conf", "host.conf", "inputrc", "ld.so.cache", "ld.so.conf",
	"locale.alias", "locale.conf", "localtime", "mime.types", "os-release", "profile", "protocols",
	"redhat-release", "resolv.conf", "services", "ssl/openssl.cnf", "timezone",
}

// etcTrees are shown read-only.
var etcTrees = []string{
	"/etc/alternatives", "/etc/ca-certificates", "/etc/crypto-policies", "/etc/fonts", "/etc/java-11-openjdk",
	"/etc/java-17-openjdk", "/etc/java-21-openjdk", "/etc/ld.so.conf.d", "/etc/perl", "/etc/pki/ca-trust",
	"/etc/pki/tls/certs", "/etc/profile.d", "/etc/python3", "/etc/ssl/certs", "/etc/terminfo",
}

// maxEtcFile bounds what is copied; ld.so.cache is the largest.
const maxEtcFile = 1 << 20

// IdentityFiles are those of a root that no other has.
var IdentityFiles = []string{"/etc/hostname", "/etc/hosts"}

func (b *builder) holdEtc() error {
	if b.layered() {
		b.holdImageEtc()
		return nil
	}
	for _, name := range etcTrees {
		if err := b.holdReadOnly(name); err != nil {
			return err
		}
	}
	b.files = b.identity()
	if b.template < 0 {
		b.readEtc()
	}
	return nil
}

// identity makes IdentityFiles.
func (b *builder) identity() map[string]file {
	return map[string]file{
		"/etc/hostname": text(b.setup.Hostname + "\n"),
		"/etc/hosts":    text("127.0.0.1 localhost " + b.setup.Hostname + "\n::1 localhost ip6-localhost ip6-loopback\n"),
	}
}

func (b *builder) readEtc() {
	maps.Copy(b.files, map[string]file{
		"/etc/nsswitch.conf": text("passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nnetworks: files\nprotocols: files\nservices: files\n"),
		"/etc/passwd":        text("root:x:0:0:root:" + b.setup.Home + ":" + b.shell + "\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"),
		"/etc/group":         text("root:x:0:\ntty:x:5:\nnogroup:x:65534:\n"),
	})
	for _, name := range etcFiles {
		name = "/etc/" + name
		info, err := os.Stat(name)
		if err != nil || !info.Mode().IsRegular() || info.Size() > maxEtcFile {
			continue
		}
		if data, err := os.ReadFile(name); err == nil {
			b.files[name] = file{data: data, mode: 0o644}
		}
	}
}

func text(s string) file { return file{data: []byte(s), mode: 0o644} }

func shell() string {
	if _, err := os.Stat("/bin/bash"); err == nil {
		return "/bin/bash"
	}
	return "/bin/sh"
}

// rootDirs are the directories of a root, with their modes.
var rootDirs = []struct {
	name string
	mode fs.FileMode
}{
	{"/app", 0o755},
	{"/dev", 0o755},
	{"/etc", 0o755},
	{"/etc/ssl", 0o755},
	{"/home", 0o755},
	{"/media", 0o755},
	{"/mnt", 0o755},
	{"/opt", 0o755},
	{"/proc", 0o555},
	{"/root", 0o700},
	{"/run", 0o755},
	{"/srv", 0o755},
	{"/sys", 0o555},
	{"/tmp", 0o777 | fs.ModeSticky},
	{"/usr", 0o755},
	{"/var", 0o755},
	{"/var/cache", 0o755},
	{"/var/lib", 0o755},
	{"/var/log", 0o755},
	{"/var/tmp", 0o777 | fs.ModeSticky},
	{"/workspace", 0o755},
}

// populate fills the root that was just entered, as far as there is no
// template under it. A layer that was used before keeps what it has.
func (b *builder) populate() error {
	if b.layered() {
		return b.populateImage()
	}
	if b.template >= 0 {
		return nil
	}
	if err := b.makeDirs(); err != nil {
		return err
	}
	return b.createFiles("/")
}

func (b *builder) createFiles(layer string) error {
	root, err := os.OpenRoot(layer)
	if err != nil {
		return err
	}
	defer root.Close()
	if err := b.makeEtc(root, layer); err != nil {
		return err
	}
	for name, f := range b.files {
		if err := create(root.OpenFile, strings.TrimPrefix(name, "/"), f); err != nil {
			return err
		}
	}
	return nil
}

// makeEtc makes the directory of the files, as the layers under it have it.
func (b *builder) makeEtc(root *os.Root, layer string) error {
	if _, err := root.Lstat("etc"); errors.Is(err, fs.ErrNotExist) && layer != "/" {
		if err := b.inherit(root, "etc", b.roots()); err != nil {
			return err
		}
	}
	return root.MkdirAll("etc", 0o755)
}

func (b *builder) makeDirs() error {
	for _, dir := range rootDirs {
		err := os.Mkdir(dir.name, dir.mode)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err == nil && dir.mode&fs.ModeSticky != 0 {
			err = os.Chmod(dir.name, dir.mode)
		}
		if err != nil {
			return err
		}
	}
	for name, target := range b.links {
		if err := os.Symlink(target, name); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return os.MkdirAll(path.Clean(b.setup.Home), 0o755)
}
