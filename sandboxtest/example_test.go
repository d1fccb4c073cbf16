package sandboxtest_test

import (
	"flag"
	"net/http"
	"testing"

	"github.com/langsandbox/sandbox-go/sandboxclient"
	"github.com/langsandbox/sandbox-go/sandboxtest"
)

var retape = flag.Bool("retape", false, "run against LangSmith, and tape it")

// A test that runs on a tape, and on LangSmith with -retape and a key.
func ExampleReplay() {
	test := func(t *testing.T) {
		const tape = "testdata/python.tape"
		options := []sandboxclient.Option{sandboxclient.WithEndpoint("https://api.smith.langchain.com/v2/sandboxes")}
		if *retape {
			options = append(options, sandboxclient.WithHTTPClient(&http.Client{Transport: sandboxtest.Record(t, tape, nil)}))
		} else {
			options = append(options, sandboxclient.WithAPIKey("none is needed"),
				sandboxclient.WithHTTPClient(&http.Client{Transport: sandboxtest.Replay(t, tape)}))
		}
		client, err := sandboxclient.New(options...)
		if err != nil {
			t.Fatal(err)
		}
		sandbox, err := client.Ephemeral(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer sandbox.Close()
		result, err := sandbox.Run(t.Context(), "python3 -c 'print(2+2)'", nil)
		if err != nil || result.Stdout != "4\n" {
			t.Errorf("%+v, %v", result, err)
		}
	}
	_ = test // go test calls it
}
