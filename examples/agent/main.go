// Command agent is the loop of an agent that writes and runs code: a model asks
// for tools, they run in a sandbox, and it sees what they printed. The model
// here is a script, so that no network is needed; put a real one in its place.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"

	"github.com/langsandbox/sandbox-go/sandboxclient"
)

// call is what a model asks for: one tool with its arguments.
type call struct {
	tool string // write_file, run or finish
	path string
	text string // of the file, the command or the answer
}

// model decides what to do next, from what the last tool printed.
type model interface {
	next(observation string) call
}

func main() {
	if err := run(&scripted{}); err != nil {
		fmt.Fprintln(os.Stderr, "agent:", err)
		os.Exit(1)
	}
}

func run(m model) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	c, err := sandboxclient.New()
	if err != nil {
		return err
	}
	defer c.Close()
	return c.Use(ctx, nil, func(ctx context.Context, sb *sandboxclient.Sandbox) error {
		observation := "count the words in words.txt"
		err := sb.WriteFile(ctx, "words.txt", []byte("the quick brown fox\njumps over\n"))
		for err == nil {
			asked := m.next(observation)
			fmt.Println("->", asked.tool, asked.path+asked.text)
			if asked.tool == "finish" {
				return nil
			}
			observation, err = use(ctx, sb, asked)
			fmt.Println("<-", observation)
		}
		return err
	})
}

// use runs a tool. What goes wrong inside is for the model to see; an error is
// trouble with the sandbox.
func use(ctx context.Context, sb *sandboxclient.Sandbox, asked call) (string, error) {
	switch asked.tool {
	case "write_file":
		if err := sb.WriteFile(ctx, asked.path, []byte(asked.text)); err != nil {
			return "", err
		}
		return "written", nil
	case "run":
		res, err := sb.Run(ctx, asked.text, nil)
		if err != nil {
			return "", err
		}
		return fmt.Sprintf("exit code %d: %s%s", res.ExitCode, res.Stdout, res.Stderr), nil
	}
	return "there is no tool " + asked.tool, nil
}

// scripted makes a mistake first, sees that it failed, and mends it.
type scripted struct{ step int }

func (s *scripted) next(string) call {
	s.step++
	switch s.step {
	case 1:
		return call{tool: "write_file", path: "count.sh", text: "wc -w < word.txt"}
	case 2, 4:
		return call{tool: "run", text: "sh count.sh 2>/dev/null"}
	case 3:
		return call{tool: "write_file", path: "count.sh", text: "wc -w < words.txt"}
	}
	return call{tool: "finish", text: "there are 6"}
}
