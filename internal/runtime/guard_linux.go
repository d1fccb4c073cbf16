package runtime

import (
	"os"
	"sync"
	"syscall"

	"github.com/langsandbox/sandbox-go/internal/sandboxagent"
)

// guard is a process that kills what this runtime's commands have left when
// the server is killed. Without namespaces nothing else would.
type guard struct {
	once    sync.Once
	process *os.Process
	alive   *os.File // what it waits for to end
}

// start starts the guard of all that has a cookie, unless it was started.
func (g *guard) start(cookie string) (err error) {
	g.once.Do(func() { err = g.run(cookie) })
	return err
}

func (g *guard) run(cookie string) error {
	stdin, alive, err := os.Pipe()
	if err != nil {
		return err
	}
	defer stdin.Close()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		alive.Close()
		return err
	}
	defer null.Close()
	g.process, err = os.StartProcess(selfExe, []string{sandboxagent.Name, cookie}, &os.ProcAttr{
		Dir: "/", Env: []string{sandboxagent.GuardMarker},
		Files: []*os.File{stdin, null, null},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		alive.Close()
		return err
	}
	g.alive = alive
	return nil
}

// close ends the guard. Nothing is left that it could kill.
func (g *guard) close() {
	g.once.Do(func() {}) // nobody starts it any more
	if g.process == nil {
		return
	}
	g.alive.Close()
	_, _ = g.process.Wait()
}
