// Package recorded holds answers to those that the real AWS gave to the same requests: it loads the
// recordings, compares field by field, keeps each exception to its reason, and keeps the guide's figures true.
// It must never import a room: what it compares is what a client decodes, and every room's tests may use it.
package recorded

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// Case is one test run against AWS: its labelled answers.
type Case struct {
	Name    string
	Labels  []string // in the order of the requests
	Answers map[string]any
}

// Test is the name of the recorder's test with its class, e.g. TestLambdaTag::test_tag_lifecycle.
func (c Case) Test() string {
	_, rest, _ := strings.Cut(c.Name, "::")
	test, _, _ := strings.Cut(rest, "[")
	return test
}

// Function is the recorder's test alone, e.g. test_tag_lifecycle.
func (c Case) Function() string {
	test := c.Test()
	return test[strings.LastIndexByte(test, ':')+1:]
}

// Parameter is what stands in the brackets of a case's name, e.g. python3.13.
func (c Case) Parameter() string {
	_, p, _ := strings.Cut(c.Name, "[")
	return strings.TrimSuffix(p, "]")
}

// Load reads a file of recordings in the order of their names.
func Load(path string) ([]Case, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var file map[string]struct {
		Answers json.RawMessage `json:"answers"`
	}
	if err := json.Unmarshal(text, &file); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	var cases []Case
	for name, recording := range file {
		c := Case{Name: name}
		if err := json.Unmarshal(recording.Answers, &c.Answers); err != nil {
			return nil, fmt.Errorf("%s: %s: %w", path, name, err)
		}
		if c.Labels, err = keys(recording.Answers); err != nil {
			return nil, fmt.Errorf("%s: %s: %w", path, name, err)
		}
		cases = append(cases, c)
	}
	slices.SortFunc(cases, func(a, b Case) int { return strings.Compare(a.Name, b.Name) })
	return cases, nil
}

// keys are those of a JSON object in their order.
func keys(object []byte) ([]string, error) {
	d := json.NewDecoder(bytes.NewReader(object))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.Join(errors.New("not an object"), err)
	}
	var all []string
	for {
		t, err := d.Token()
		if err != nil {
			return nil, err
		}
		key, isKey := t.(string)
		if !isKey {
			if _, err := d.Token(); !errors.Is(err, io.EOF) {
				return nil, errors.New("more after the object")
			}
			return all, nil
		}
		all = append(all, key)
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, err
		}
	}
}
