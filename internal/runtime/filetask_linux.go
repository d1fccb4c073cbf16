package runtime

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"github.com/langsandbox/sandbox-go/internal/sandboxagent"
	"github.com/langsandbox/sandbox-go/internal/sandboxagent/treecopy"
)

// maxReport bounds what a process with a task says.
const maxReport = 64 << 10

// do does a task in a process that has the rights of a sandbox's root over
// files, and none over those of the host.
func (m idMap) do(ctx context.Context, p *program, task sandboxagent.FileTask, files ...*os.File) (stats treecopy.Stats, err error) {
	if err := ctx.Err(); err != nil {
		return stats, err
	}
	options, err := json.Marshal(task)
	if err != nil {
		return stats, err
	}
	stdin, alive, err := os.Pipe()
	if err != nil {
		return stats, err
	}
	defer alive.Close()
	defer stdin.Close()
	result, stdout, err := os.Pipe()
	if err != nil {
		return stats, err
	}
	defer result.Close()
	defer stdout.Close()
	process, err := m.start(p, []string{sandboxagent.Name, string(options)}, &os.ProcAttr{
		Dir: "/", Env: []string{sandboxagent.FileTaskMarker},
		Files: append([]*os.File{stdin, stdout, nil}, files...), Sys: &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return stats, fmt.Errorf("start a process for files: %w", err)
	}
	stdin.Close()
	stdout.Close()
	unhook := context.AfterFunc(ctx, func() { _ = process.Kill() })
	defer unhook()
	data, readErr := io.ReadAll(io.LimitReader(result, maxReport))
	_, waitErr := process.Wait()
	if err := ctx.Err(); err != nil {
		return stats, err
	}
	var report sandboxagent.FileReport
	if err := json.Unmarshal(data, &report); err != nil {
		return stats, errors.Join(errors.New("the process for files broke off"), readErr, waitErr)
	}
	return report.Stats, report.Err()
}
