package runtime

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

const (
	// procBound is IsolationProcBound among the modes. No host needs to be a
	// container for it: it is tried in namespaces that are like one.
	procBound    = "native-procbind"
	procBoundKey = "RUNTIME_TEST_PROCBOUND"
)

func init() {
	helpers["masked-attacks"] = func() error {
		if err := maskProc(); err != nil {
			return err
		}
		env := []string{"TMPDIR=" + filepath.Dir(os.Getenv(procBoundKey))}
		for _, entry := range os.Environ() {
			if !strings.HasPrefix(entry, helperKey+"=") && !strings.HasPrefix(entry, "TMPDIR=") {
				env = append(env, entry)
			}
		}
		return unix.Exec(selfExe, []string{"runtime.test", "-test.run=^TestAttacksProcBound$"}, env)
	}
}

// TestAttacksProcBound is a part of TestAttacks, which starts it where the
// kernel refuses a new /proc.
func TestAttacksProcBound(t *testing.T) {
	file := os.Getenv(procBoundKey)
	if file == "" {
		t.Skip("TestAttacks runs it")
	}
	rt := mode{procBound, newNative}.start(t)
	if step := StepOf(rt); step != IsolationProcBound {
		t.Fatalf("this is %s", step)
	}
	targets := startTargets(t)
	targets.Apart = true
	data, err := json.Marshal(attacked(t, rt, targets))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// attackedProcBound returns what came of the attacks in such a place.
func attackedProcBound(t *testing.T) (outcomes map[string]string) {
	t.Helper()
	startNative(t) // or skip
	dir := t.TempDir()
	ownForNamespaces(t, dir)
	file := filepath.Join(dir, "outcomes")
	cmd := helper(t, "masked-attacks", procBoundKey+"="+file)
	inNamespaces(cmd, syscall.CLONE_NEWNS)
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &outcomes); err != nil {
		t.Fatal(err)
	}
	return outcomes
}
