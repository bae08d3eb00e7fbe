package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// TestGeneratedIsCommitted generates again and compares: internal/api must never
// be edited, and the models never changed without it.
func TestGeneratedIsCommitted(t *testing.T) {
	root := filepath.Join("..", "..")
	out := t.TempDir()
	models := filepath.Join(root, "models")
	if err := generate(generateOptions{Models: models, Overrides: filepath.Join(models, "overrides.json"), Out: out}, nil); err != nil {
		t.Fatal(err)
	}
	want, err := filepath.Glob(filepath.Join(out, "*", "*_gen.go"))
	if err != nil || len(want) == 0 {
		t.Fatal("nothing was generated", err)
	}
	made := map[string]bool{}
	for _, path := range want {
		rel, err := filepath.Rel(out, path)
		if err != nil {
			t.Fatal(err)
		}
		made[rel] = true
		a, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(filepath.Join(root, "internal", "api", rel))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(a, b) {
			t.Errorf("internal/api/%s is not what the models give: run make generate", rel)
		}
	}
	have, err := filepath.Glob(filepath.Join(root, "internal", "api", "*", "*_gen.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range have {
		if rel, err := filepath.Rel(filepath.Join(root, "internal", "api"), path); err != nil || !made[rel] {
			t.Errorf("%s is generated no more: remove it", path)
		}
	}
}

func TestStripModel(t *testing.T) {
	var zipped bytes.Buffer
	gzipTo(t, &zipped, `{"version":"2.0","documentation":"d","shapes":{"B":{"type":"structure","documentation":"d","members":{"z":{"shape":"S","documentation":"d"},"documentation":{"shape":"S"}}},"A":{"type":"string","enum":["é<"]}},"operations":{"O":{"name":"O","documentation":"d"}},"metadata":{"b":"2","a":"1"}}`)
	got, err := stripModel(zipped.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	want := `{
"metadata":{
"a":"1",
"b":"2"
},
"operations":{
"O":{"name":"O"}
},
"shapes":{
"A":{"enum":["é<"],"type":"string"},
"B":{"members":{"z":{"shape":"S"},"documentation":{"shape":"S"}},"type":"structure"}
}
}
`
	if string(got) != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestEnumWord(t *testing.T) {
	for value, want := range map[string]string{
		"python3.12": "Python312", "READ_ONLY": "ReadOnly", "InProgress": "InProgress", "nodejs4.3-edge": "Nodejs43Edge", "": "Empty", "x86_64": "X8664",
	} {
		if got := enumWord(value); got != want {
			t.Errorf("enumWord(%q) = %q, want %q", value, got, want)
		}
	}
}
