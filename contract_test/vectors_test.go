package contract_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// vectorServer stands for {server} in the vectors. Nothing listens there: the
// requests end in a scripted transport.
const vectorServer = "http://127.0.0.1:8080"

// vector is one recorded call; testdata/README.md describes the format.
type vector struct {
	ID   string `json:"id"`
	Call struct {
		Op    string                     `json:"op"`
		Then  string                     `json:"then"`
		Args  map[string]json.RawMessage `json:"args"`
		On    json.RawMessage            `json:"on"`
		Scope struct {
			Body string `json:"body"`
		} `json:"scope"`
	} `json:"call"`
	Client struct {
		APIKey     *string           `json:"api_key"`
		MaxRetries *int              `json:"max_retries"`
		Endpoint   *string           `json:"endpoint"`
		Headers    map[string]string `json:"headers"`
		Env        map[string]string `json:"env"`
	} `json:"client"`
	Exchanges []exchange `json:"exchanges"`
	Outcome   struct {
		OK    map[string]any `json:"ok"`
		Error *struct {
			Kind            string         `json:"kind"`
			Attrs           map[string]any `json:"attrs"`
			MessageContains string         `json:"message_contains"`
			AlsoOK          []string       `json:"also_ok"`
		} `json:"error"`
	} `json:"outcome"`
}

// TestWireVectors replays the recorded calls against the facade. WIRE_VECTORS
// names other files to replay instead, separated by colons.
func TestWireVectors(t *testing.T) {
	t.Parallel()
	vectors := loadVectors(t)
	var listed []string
	for _, v := range vectors {
		if differs(v.ID) != nil {
			listed = append(listed, v.ID)
		}
		t.Run(v.ID, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { replayVector(t, v) })
		})
	}
	if most := 3 * len(vectors) / 100; len(listed) > most {
		t.Errorf("%d of %d cases are listed as differences, more than 3 %%: %v", len(listed), len(vectors), listed)
	}
}

func replayVector(t *testing.T, v *vector) {
	t.Helper()
	// The times in the vectors are long past or far ahead of when they were
	// recorded; a bubble begins before all of them.
	time.Sleep(time.Until(time.Date(2026, time.November, 1, 0, 0, 0, 0, time.UTC)))
	problems := v.replay(t.Context())
	difference := differs(v.ID)
	switch {
	case difference == nil:
		for _, p := range problems {
			t.Error(p)
		}
	case len(problems) == 0:
		t.Errorf("is listed as a difference, but passes: %s", difference.reason)
	}
}

func loadVectors(t *testing.T) []*vector {
	t.Helper()
	files := []string{filepath.Join("testdata", "wire-vectors.jsonl")}
	if named := os.Getenv("WIRE_VECTORS"); named != "" {
		files = strings.Split(named, ":")
	}
	var vectors []*vector
	for _, name := range files {
		vectors = append(vectors, loadVectorFile(t, name)...)
	}
	if len(vectors) == 0 {
		t.Fatalf("no cases in %v", files)
	}
	return vectors
}

func loadVectorFile(t *testing.T, name string) []*vector {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	data = bytes.ReplaceAll(data, []byte("{server}"), []byte(vectorServer))
	var vectors []*vector
	lines := bufio.NewScanner(bytes.NewReader(data))
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		v := new(vector)
		if err := json.Unmarshal(lines.Bytes(), v); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if vectorCallOf(v.Call.Op) == nil {
			t.Fatalf("%s: %s: unknown operation %s", name, v.ID, v.Call.Op)
		}
		vectors = append(vectors, v)
	}
	if err := lines.Err(); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return vectors
}
