package runtime

import (
	"context"
	"io"
	"os"
	"testing"
)

func TestSmoke(t *testing.T) {
	rt, err := New(Config{Dir: t.TempDir() + "/x", Isolation: IsolationNative})
	if err != nil {
		t.Fatal(err)
	}
	defer rt.Close()
	t.Logf("%+v", rt.(*native).features)
	box, err := rt.Create(context.Background(), Spec{ID: "a"})
	if err != nil {
		t.Fatal(err)
	}
	r, w, _ := OutputPipe()
	p, err := box.Start(context.Background(), Command{Args: []string{"/bin/sh", "-c", os.Getenv("SMOKE")}, Stdout: w, Stderr: w})
	if err != nil {
		t.Fatal(err)
	}
	w.Close()
	b, _ := io.ReadAll(r)
	st, err := p.Wait(context.Background())
	t.Logf("%s\n%v %v", b, st, err)
}
