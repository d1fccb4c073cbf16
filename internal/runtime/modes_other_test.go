//go:build unix && !linux

package runtime

var modes = []mode{{"process", newProcess}}

func hostHoldings(*held) {}

func (r *processRuntime) base() *layers { return r.layers }

func cgroupsIn(string) []string { return nil }

func (b *processBox) base() *layers  { return b.rt.layers }
func (s *leftSandbox) base() *layers { return s.layers }
