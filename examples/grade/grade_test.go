package grade_test

import (
	"slices"
	"testing"
	"time"

	"github.com/langsandbox/sandbox-go/examples/grade"
	"github.com/langsandbox/sandbox-go/sandboxtest"
)

func TestGrade(t *testing.T) {
	t.Parallel()
	c, _ := sandboxtest.New(t)
	cases := []grade.Case{{"b\na\n", "a\nb\n"}, {"", ""}}
	for script, want := range map[string]grade.Result{
		"sort":    {Right: 2},
		"cat":     {Right: 1, Faults: []string{"wrong answer"}},
		"exit 3":  {Faults: []string{"exit status 3", "exit status 3"}},
		"sleep 9": {Faults: []string{"too slow", "too slow"}},
	} {
		t.Run(script, func(t *testing.T) {
			t.Parallel()
			got, err := grade.Grade(t.Context(), c, script, cases, time.Second)
			if err != nil {
				t.Fatal(err)
			}
			if got.Right != want.Right || !slices.Equal(got.Faults, want.Faults) {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
}
