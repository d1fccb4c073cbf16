package sandboxserver

import (
	"maps"
	"slices"

	"github.com/langsandbox/sandbox-go/gen"
)

// carried are the settings of a sandbox that a snapshot has for those made of
// it. Their secrets are kept with it and never returned.
type carried struct {
	Included  []gen.SnapshotSetting `json:"included,omitzero"`
	Proxy     gen.ProxyConfig       `json:"proxy_config,omitzero"`
	Env       map[string]string     `json:"env_vars,omitzero"`
	VCPUs     int                   `json:"vcpus,omitzero"`
	Milli     int                   `json:"cpu_millicores,omitzero"`
	Memory    int64                 `json:"mem_bytes,omitzero"`
	Idle      int                   `json:"idle_ttl_seconds,omitzero"`
	AfterStop int                   `json:"delete_after_stop_seconds,omitzero"`
}

func (c carried) has(s gen.SnapshotSetting) bool { return slices.Contains(c.Included, s) }

// settings are all there are, in the order they are returned in.
var settings = []gen.SnapshotSetting{
	gen.SnapshotMounts, gen.SnapshotProxyConfig, gen.SnapshotEnvVars,
	gen.SnapshotResources, gen.SnapshotLifecycle, gen.SnapshotLabels,
}

// carry takes the settings that a request names from a sandbox. Secrets among
// them have to be confirmed. mu is held.
func carry(b *box, include []gen.SnapshotSetting, confirmed bool) (carried, error) {
	c := carried{}
	for _, s := range settings {
		if slices.Contains(include, s) || slices.Contains(include, gen.SnapshotAllSettings) {
			c.Included = append(c.Included, s)
		}
	}
	if c.has(gen.SnapshotProxyConfig) {
		c.Proxy = cloneProxy(b.proxy)
	}
	if c.has(gen.SnapshotEnvVars) {
		c.Env = maps.Clone(b.traits.env)
	}
	if c.has(gen.SnapshotResources) {
		c.VCPUs, c.Milli, c.Memory = b.sizes.vcpus, b.sizes.millicores, b.sizes.memory
	}
	if c.has(gen.SnapshotLifecycle) {
		c.Idle, c.AfterStop = b.idle, b.afterStop
	}
	if !confirmed && (len(c.Env) > 0 || secret(c.Proxy)) {
		return c, invalid("the settings to include hold secrets: confirm with true that whoever uses the snapshot may have them",
			"confirm_allow_snapshot_secret_values")
	}
	return c, nil
}

// secret reports whether a proxy configuration holds values that are not
// returned, or variables.
func secret(p gen.ProxyConfig) bool {
	opaque := func(h gen.ProxyHeader) bool { return h.Type == gen.ProxyHeaderOpaque && h.Value != "" }
	return slices.ContainsFunc(p.Rules, func(r gen.ProxyRule) bool {
		return len(r.EnvVars) > 0 || slices.ContainsFunc(r.Headers, opaque)
	}) || slices.ContainsFunc(p.Callbacks, func(c gen.ProxyCallback) bool {
		return slices.ContainsFunc(c.RequestHeaders, opaque)
	})
}

// inherit gives a sandbox what its snapshot has for it and the request leaves
// out.
func (b *box) inherit(s *snapshot, req gen.CreateSandbox) error {
	if s.status != gen.SnapshotReady {
		return problem(400, codeInvalidRequest, "snapshot %q is %s: only a ready one can be used", s.name, s.status)
	}
	if req.FSCapacityBytes > 0 && req.FSCapacityBytes < s.disk {
		return invalid("fs_capacity_bytes must not be smaller than the snapshot's", "fs_capacity_bytes")
	}
	b.snapshotID = s.id
	if b.sizes.disk == 0 {
		b.sizes.disk = s.disk
	}
	c := s.carried
	if c.has(gen.SnapshotResources) && req.VCPUs == 0 && req.CPUMillicores == 0 && req.MemBytes == 0 {
		b.sizes.vcpus, b.sizes.millicores, b.sizes.memory = c.VCPUs, c.Milli, c.Memory
	}
	// What a sandbox of one kind may have is too much for one of the other.
	if err := b.sizes.check(false, !b.traits.transient); err != nil {
		return err
	}
	b.traits.labels = merged(maps.Clone(s.labels), b.traits.labels)
	b.traits.runs = layered(s.runs, b.traits.runs)
	if c.has(gen.SnapshotProxyConfig) && !given(req.ProxyConfig) {
		b.proxy = cloneProxy(c.Proxy)
	}
	if c.has(gen.SnapshotEnvVars) && req.EnvVars == nil {
		b.traits.env = maps.Clone(c.Env)
	}
	if c.has(gen.SnapshotLifecycle) {
		for _, t := range []struct {
			asked *int
			into  *int
			had   int
		}{{req.IdleTTLSeconds, &b.idle, c.Idle}, {req.DeleteAfterStopSeconds, &b.afterStop, c.AfterStop}} {
			if t.asked == nil {
				*t.into = t.had
			}
		}
	}
	return nil
}
