package sandboxserver

import (
	"fmt"
	"os"
	"testing"

	"github.com/langsandbox/sandbox-go/internal/leaktest"
)

func TestMain(m *testing.M) {
	if os.Getenv(serviceKeyVar) != "" {
		if err := actAsService(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(leaktest.Run(m))
}
