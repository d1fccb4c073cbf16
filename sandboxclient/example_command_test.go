package sandboxclient_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

// inSandbox runs an example in a sandbox of a local server.
func inSandbox(program func(ctx context.Context, sb *sandboxclient.Sandbox) error) {
	defer serve()()
	c, err := sandboxclient.New()
	if err == nil {
		err = errors.Join(c.Use(context.Background(), nil, program), c.Close())
	}
	if err != nil {
		fmt.Println(err)
	}
}

// Output as it comes, over a connection that is made anew when it is lost.
func ExampleCmd_Stream() {
	inSandbox(func(ctx context.Context, sb *sandboxclient.Sandbox) error {
		cmd := sb.Shell("for i in 1 2 3; do echo step $i; done; exit 3")
		for chunk, err := range cmd.Stream(ctx) {
			if exit, ok := errors.AsType[*sandboxclient.ExitError](err); ok {
				fmt.Println("exit code", exit.Code)
			} else if err != nil {
				return err
			}
			os.Stdout.Write(chunk.Data) // chunk.Stream says which stream it is
		}
		return nil
	})
	// Output:
	// step 1
	// step 2
	// step 3
	// exit code 3
}

// Arguments arrive as they are, and writers get the output as it comes.
func ExampleSandbox_Command() {
	inSandbox(func(ctx context.Context, sb *sandboxclient.Sandbox) error {
		cmd := sb.Command("printf", `%s\n`, "it's $HOME; *")
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		cmd.Timeout = 30 * time.Second
		return cmd.Run(ctx)
	})
	// Output: it's $HOME; *
}

// A command that is talked to while it runs.
func ExampleProcess_Write() {
	inSandbox(func(ctx context.Context, sb *sandboxclient.Sandbox) error {
		cmd := sb.Shell(`while read -r name; do echo "hello $name"; done`)
		cmd.OpenStdin, cmd.Stdout = true, os.Stdout
		p, err := cmd.Start(ctx)
		if err != nil {
			return err
		}
		for _, name := range []string{"Ada", "Grace"} {
			if _, err := fmt.Fprintln(p, name); err != nil {
				return err
			}
		}
		return errors.Join(p.CloseWrite(), p.Wait())
	})
	// Output:
	// hello Ada
	// hello Grace
}

// A command goes on without its program, which another one finds by its id.
func ExampleSandbox_Attach() {
	inSandbox(func(ctx context.Context, sb *sandboxclient.Sandbox) error {
		cmd := sb.Shell("read -r line; echo read $line")
		cmd.ID, cmd.OpenStdin = "the-job", true
		p, err := cmd.Start(ctx)
		if err != nil {
			return err
		}
		if err := p.Detach(); err != nil {
			return err
		}
		again, err := sb.Attach(ctx, "the-job", &sandboxclient.AttachOptions{Stdout: os.Stdout})
		if err != nil {
			return err
		}
		if _, err := io.WriteString(again, "on\n"); err != nil {
			return err
		}
		return again.Wait()
	})
	// Output: read on
}
