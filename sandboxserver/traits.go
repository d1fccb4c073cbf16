package sandboxserver

import (
	"cmp"
	"maps"
	"path"
	"reflect"
	"slices"
	"strings"

	"github.com/langsandbox/sandbox-go/gen"
	"github.com/langsandbox/sandbox-go/internal/runtime"
	"github.com/langsandbox/sandbox-go/internal/session"
)

// traits are what a sandbox of the second generation is told about itself,
// besides its sizes and timers.
type traits struct {
	labels    map[string]string
	tags      []string          // ids of workspace tag values
	env       map[string]string // of every command; never returned
	runs      gen.RunConfig
	transient bool // files end with a stop
}

// reservedLabels begin the names that are the server's to give.
const reservedLabels = "com.langchain."

// newTraits checks what a request says. What one machine cannot do is refused.
func newTraits(req gen.CreateSandbox) (traits, error) {
	t := traits{
		labels: maps.Clone(req.Labels), tags: slices.Clone(req.TagValueIDs), env: maps.Clone(req.EnvVars), runs: cloneRuns(req.RunConfig),
		transient: req.Persistent != nil && !*req.Persistent,
	}
	if err := checkLabels(t.labels); err != nil {
		return t, err
	}
	switch {
	case t.transient && req.PreserveMemoryOnStop:
		return t, invalid("preserve_memory_on_stop takes a persistent sandbox", "preserve_memory_on_stop")
	case req.PreserveMemoryOnStop:
		return t, notSupported("memory that outlives a stop: leave preserve_memory_on_stop out")
	case req.RestoreMemory != nil && *req.RestoreMemory:
		return t, notSupported("snapshots with memory: leave restore_memory out")
	case len(req.MountConfig.Mounts) > 0 || !reflect.ValueOf(req.MountConfig.Auth).IsZero():
		return t, notSupported("mounts of buckets and repositories: leave mount_config out")
	case req.AccessDelegation.Mode != "":
		return t, notSupported("an account to delegate access from: leave access_delegation out")
	}
	if err := checkVars(t.env, "env_vars"); err != nil {
		return t, err
	}
	return t, checkRuns(t.runs)
}

func checkLabels(labels map[string]string) error {
	for name := range labels {
		if strings.HasPrefix(name, reservedLabels) {
			return invalid("labels that begin with "+reservedLabels+" are reserved", "labels", name)
		}
	}
	return nil
}

func checkRuns(c gen.RunConfig) error {
	switch {
	case c.WorkDir != "" && !path.IsAbs(c.WorkDir):
		return invalid("work_dir must be an absolute path", "run_config", "work_dir")
	case strings.ContainsRune(c.WorkDir, 0):
		return invalid("work_dir must not contain a zero byte", "run_config", "work_dir")
	}
	return checkVars(c.EnvVars, "run_config", "env_vars")
}

// checkVars refuses what no process can have. Values are not repeated.
func checkVars(env map[string]string, at ...any) error {
	for name, value := range env {
		if strings.TrimSpace(name) == "" || strings.ContainsAny(name, "=\x00") || strings.ContainsRune(value, 0) {
			return invalid("environment variables must have names without = and no zero bytes", append(at, name)...)
		}
	}
	return nil
}

func cloneRuns(c gen.RunConfig) gen.RunConfig {
	c.EnvVars = maps.Clone(c.EnvVars)
	return c
}

// layered puts one way to run over another: user and directory replace,
// variables are added.
func layered(c, over gen.RunConfig) gen.RunConfig {
	c = cloneRuns(c)
	c.User, c.WorkDir = cmp.Or(over.User, c.User), cmp.Or(over.WorkDir, c.WorkDir)
	if c.EnvVars == nil && len(over.EnvVars) > 0 {
		c.EnvVars = map[string]string{}
	}
	maps.Copy(c.EnvVars, over.EnvVars)
	return c
}

// prepared is a command with what the sandbox gives to each of its commands;
// what the command has of its own wins. It says who is to run it, too. mu is
// not held.
func (e *engine) prepared(b *box, spec session.Spec) (cmd runtime.Command, user string) {
	cmd = spec.Command
	e.mu.Lock()
	defer e.mu.Unlock()
	cmd.Dir = cmp.Or(cmd.Dir, b.traits.runs.WorkDir)
	env := map[string]string{}
	maps.Copy(env, environment(b.sb))
	maps.Copy(env, b.traits.runs.EnvVars)
	for _, rule := range b.proxy.Rules {
		if rule.Enabled == nil || *rule.Enabled {
			maps.Copy(env, rule.EnvVars)
		}
	}
	maps.Copy(env, b.traits.env)
	cmd.Env = append(environ(env), cmd.Env...)
	return cmd, cmp.Or(spec.User, b.traits.runs.User)
}

// labelled reports whether labels are all those of a filter, each a name or a
// name and value.
func labelled(labels map[string]string, filter []string) bool {
	for _, want := range filter {
		name, value, valued := strings.Cut(want, "=")
		got, has := labels[name]
		if !has || valued && got != value {
			return false
		}
	}
	return true
}

// tagged reports whether a sandbox has all those tag values.
func (t traits) tagged(filter []string) bool {
	for _, want := range filter {
		if !slices.Contains(t.tags, want) {
			return false
		}
	}
	return true
}
