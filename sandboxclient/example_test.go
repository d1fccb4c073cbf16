package sandboxclient_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http/httptest"
	"os"

	"github.com/langsandbox/sandbox-go/sandboxclient"
	"github.com/langsandbox/sandbox-go/sandboxserver"
)

// serve starts a local server with the template python-sandbox and names it in
// the environment, as `sandbox serve` would have its user do.
func serve() (stop func()) {
	server, err := sandboxserver.New(sandboxserver.Config{MinIsolation: sandboxserver.IsolationProcess})
	if err != nil {
		panic(err)
	}
	listener := httptest.NewServer(server)
	for key, value := range map[string]string{"LANGSMITH_ENDPOINT": listener.URL, "LANGSMITH_API_KEY": server.APIKey()} {
		if err := os.Setenv(key, value); err != nil {
			panic(err)
		}
	}
	c, err := sandboxclient.New()
	if err != nil {
		panic(err)
	}
	_, err = c.Templates.Create(context.Background(), &sandboxclient.CreateTemplate{
		Name:  "python-sandbox",
		Image: "python:3.12-slim",
	})
	if err != nil {
		panic(err)
	}
	return func() {
		listener.Close()
		if err := errors.Join(c.Close(), server.Close(), os.Unsetenv("LANGSMITH_ENDPOINT"), os.Unsetenv("LANGSMITH_API_KEY")); err != nil {
			panic(err)
		}
	}
}

func Example() {
	defer serve()()
	ctx := context.Background()
	program := func() error {
		c, err := sandboxclient.New() // LANGSMITH_ENDPOINT, LANGSMITH_API_KEY
		if err != nil {
			return err
		}
		return c.Use(ctx, nil, func(ctx context.Context, sb *sandboxclient.Sandbox) error {
			res, err := sb.Run(ctx, "echo $((6*7))", nil)
			if err != nil {
				return err
			}
			fmt.Print(res.Stdout)
			return nil
		})
	}
	if err := program(); err != nil {
		fmt.Println(err)
	}
	// Output: 42
}

// An ephemeral sandbox is deleted by Close, here after a command and a look at
// its files.
func ExampleClient_Ephemeral() {
	defer serve()()
	ctx := context.Background()
	program := func() (err error) {
		c, err := sandboxclient.New()
		if err != nil {
			return err
		}
		sb, err := c.Ephemeral(ctx, &sandboxclient.CreateSandbox{TemplateName: "python-sandbox"})
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, sb.Close()) }()
		if err := sb.WriteFile(ctx, "greeting.txt", []byte("hello\n")); err != nil {
			return err
		}
		res, err := sb.Execute(ctx, "wc -c < greeting.txt", nil)
		if err != nil {
			return err
		}
		fmt.Println(res.ExitCode, res.Stdout)
		_, err = sb.ReadFile(ctx, "farewell.txt")
		fmt.Println(errors.Is(err, fs.ErrNotExist))
		return nil
	}
	if err := program(); err != nil {
		fmt.Println(err)
	}
	// Output:
	// 0 6
	//
	// true
}

func ExampleAPIError() {
	defer serve()()
	ctx := context.Background()
	c, err := sandboxclient.New()
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = c.Get(ctx, "no-such-sandbox")
	var api *sandboxclient.APIError
	switch {
	case errors.Is(err, sandboxclient.ErrNotFound):
		fmt.Println("there is no such sandbox")
	case errors.Is(err, sandboxclient.ErrOutcomeUnknown):
		fmt.Println("it may have happened: look before you repeat")
	case errors.As(err, &api):
		fmt.Println(api.StatusCode, api.ErrorType, api.RequestID)
	}
	// Output: there is no such sandbox
}

func ExampleClient_List() {
	defer serve()()
	ctx := context.Background()
	c, err := sandboxclient.New()
	if err != nil {
		fmt.Println(err)
		return
	}
	for template, err := range c.Templates.List(ctx, nil) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(template.Name, template.Resources.CPU, template.Resources.Memory)
	}
	// Output: python-sandbox 500m 512Mi
}

func ExampleResult_Err() {
	res := &sandboxclient.Result{ExitCode: 2, Stderr: "make: *** No targets specified.  Stop.\n"}
	if exit, ok := errors.AsType[*sandboxclient.ExitError](res.Err()); ok {
		fmt.Println(exit.Code, exit)
	}
	// Output: 2 exit status 2: make: *** No targets specified.  Stop.
}
