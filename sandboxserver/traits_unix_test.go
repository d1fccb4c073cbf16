//go:build unix

package sandboxserver

import (
	"testing"

	"github.com/langsandbox/sandbox-go/gen"
)

// TestCommandsGetTraits: a command has what its sandbox gives to all, each
// layer over the one before, and its own over them.
func TestCommandsGetTraits(t *testing.T) {
	t.Parallel()
	eachIsolation(t, func(b *bench) {
		s := b.box(map[string]any{
			"name": "x", "env_vars": map[string]any{"C": "box"},
			"proxy_config": map[string]any{"rules": []any{
				map[string]any{"name": "on", "env_vars": map[string]any{"B": "rule", "C": "rule"}},
				map[string]any{"name": "off", "enabled": false, "env_vars": map[string]any{"B": "off"}},
			}},
			"run_config": map[string]any{"work_dir": "/usr", "env_vars": map[string]any{"A": "run", "B": "run", "C": "run"}},
		})
		const show = `echo $A $B $C; pwd`
		if r := b.run(s, show); r.Stdout != "run rule box\n/usr\n" {
			b.t.Errorf("%q", r.Stdout)
		}
		a := b.execute(s, map[string]any{"command": show, "env": map[string]any{"C": "own"}, "cwd": "/usr/bin"})
		if r := decode[gen.ExecuteResult](b.t, a); r.Stdout != "run rule own\n/usr/bin\n" {
			b.t.Errorf("%q", r.Stdout)
		}
		b.want(200, "PATCH", "/boxes/x", `{"run_config":{"work_dir":"/usr/bin","env_vars":{"A":"later"}}}`)
		if r := b.run(s, show); r.Stdout != "later rule box\n/usr/bin\n" {
			b.t.Errorf("%q", r.Stdout)
		}
	})
}

// TestFilesOfStoppedOnes stay, unless the sandbox is not persistent.
func TestFilesOfStoppedOnes(t *testing.T) {
	t.Parallel()
	eachIsolation(t, func(b *bench) {
		for persistent, want := range map[bool]string{true: "kept\n", false: "gone\n"} {
			s := b.box(map[string]any{"persistent": persistent})
			b.run(s, "touch note")
			b.want(204, "POST", "/boxes/"+s.Name+"/stop", nil)
			b.want(202, "POST", "/boxes/"+s.Name+"/start", nil)
			eventually(b.t, "ready", func() bool { return b.status(s.Name).Status == gen.StatusReady })
			if r := b.run(s, "test -e note && echo kept || echo gone"); r.Stdout != want {
				b.t.Errorf("persistent %t: %q", persistent, r.Stdout)
			}
			b.want(204, "DELETE", "/boxes/"+s.Name, nil)
		}
	})
}
