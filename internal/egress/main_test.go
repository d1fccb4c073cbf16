package egress

import (
	"os"
	"testing"

	"github.com/langsandbox/sandbox-go/internal/leaktest"
)

func TestMain(m *testing.M) { os.Exit(leaktest.Run(m)) }
