package runtime

import (
	"errors"
	"strconv"
	"strings"
	"testing"
)

var errNoSpares = errors.New("not all are there")

// TestSpares makes sandboxes of agents that were started ahead.
func TestSpares(t *testing.T) {
	rt := mode{"native", func(cfg Config) (Runtime, error) {
		cfg.Spares = 2
		return newNative(cfg)
	}}.start(t)
	n := rt.(*native)
	full := func() {
		t.Helper()
		eventually(t, "agents ahead", func() error {
			if !n.spares.full() {
				return errNoSpares
			}
			return nil
		})
	}
	for i := range sparesAfter {
		if box := create(t, rt, Spec{ID: "first-" + string(rune('a'+i))}).(*sandbox); i == 0 && box.group != box.id {
			t.Errorf("the first sandbox has the agent %q", box.group)
		}
	}
	full()
	box := create(t, rt, Spec{ID: "ahead", Hostname: "ahead", Limits: Limits{PIDs: 48, FileBytes: 4096}})
	if group := box.(*sandbox).group; !strings.HasPrefix(group, ".") {
		t.Errorf("the agent is %q", group)
	}
	if got := run(t, box, "hostname; { head -c 5000 /dev/zero > big; } 2>/dev/null; wc -c < big; touch mine; ls"); got != "ahead\n4096\nbig\nmine" {
		t.Errorf("%q", got)
	}
	if n.features.LimitPIDs {
		if got, _ := script(t, box, "for i in $(seq 100); do sleep 100 & done 2>/dev/null; jobs | wc -l"); strings.TrimSpace(got) == "100" {
			t.Error("the number of processes has no limit")
		}
	}
	if own := create(t, rt, Spec{ID: "host", HostNetwork: true}).(*sandbox); own.group != own.id {
		t.Errorf("with the host's network the agent is %q", own.group)
	}
	full()
	n.spares.mu.Lock()
	dead := n.spares.ready[0].box
	n.spares.mu.Unlock()
	dead.kill()
	<-dead.done
	for _, id := range []string{"other", "another", "third"} {
		if next := create(t, rt, Spec{ID: id}); next.(*sandbox) == dead || run(t, next, "ls; echo here") != "here" {
			t.Errorf("%s has the agent that ended", id)
		}
	}
}

// TestSpareKilled makes sandboxes at the moment at which the agents ahead end.
func TestSpareKilled(t *testing.T) {
	rt := mode{"native", func(cfg Config) (Runtime, error) {
		cfg.Spares = 2
		return newNative(cfg)
	}}.start(t)
	n := rt.(*native)
	for i := range sparesAfter {
		create(t, rt, Spec{ID: "first-" + strconv.Itoa(i)})
	}
	for i := range 10 {
		eventually(t, "agents ahead", func() error {
			if !n.spares.full() {
				return errNoSpares
			}
			return nil
		})
		n.spares.mu.Lock()
		for _, ahead := range n.spares.ready {
			_ = ahead.box.agent.Kill()
		}
		n.spares.mu.Unlock()
		box := create(t, rt, Spec{ID: "next-" + strconv.Itoa(i), Hostname: "next"})
		if got := run(t, box, "ls; hostname"); got != "next" {
			t.Errorf("%q", got)
		}
	}
}
