package sandboxserver

import (
	"testing"

	"github.com/langsandbox/sandbox-go/internal/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }
