// Package managed owns the AWS managed policies that lambdad knows: their
// names, versions and documents. It must never import the directory or the
// store, because these policies are the same in every account and no caller can
// change them.
package managed

import (
	"embed"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"
	"sync"
	"time"
)

// Policy is one AWS managed policy.
type Policy struct {
	Name        string
	Path        string
	ARN         string
	ID          string
	Description string
	Version     string // the default version's id
	Created     time.Time
	Updated     time.Time
	Document    string
}

//go:embed policies/*.json
var files embed.FS

// file is the form of an embedded policy.
type file struct {
	Path        string          `json:"path"`
	ID          string          `json:"id"`
	Description string          `json:"description"`
	Version     string          `json:"version"`
	Created     time.Time       `json:"created"`
	Updated     time.Time       `json:"updated"`
	Document    json.RawMessage `json:"document"`
}

// all reads the embedded files once, when first asked.
var all = sync.OnceValue(func() map[string]Policy {
	m := map[string]Policy{}
	names, err := files.ReadDir("policies")
	if err != nil {
		panic("the embedded managed policies cannot be read: " + err.Error())
	}
	for _, entry := range names {
		p, err := read(entry.Name())
		if err != nil {
			panic("an embedded managed policy cannot be read: " + err.Error())
		}
		m[p.ARN] = p
	}
	return m
})

func read(name string) (Policy, error) {
	b, err := files.ReadFile(path.Join("policies", name))
	if err != nil {
		return Policy{}, err
	}
	var f file
	if err := json.Unmarshal(b, &f); err != nil {
		return Policy{}, fmt.Errorf("%s: %w", name, err)
	}
	p := Policy{
		Name: strings.TrimSuffix(name, ".json"), Path: f.Path, ID: f.ID, Description: f.Description, Version: f.Version,
		Created: f.Created, Updated: f.Updated, Document: string(f.Document),
	}
	p.ARN = "arn:aws:iam::aws:policy" + p.Path + p.Name
	return p, nil
}

// Find returns the policy with an ARN.
func Find(arn string) (Policy, bool) {
	p, ok := all()[arn]
	return p, ok
}

// List returns all policies in the order of their names.
func List() []Policy {
	out := make([]Policy, 0, len(all()))
	for _, p := range all() {
		out = append(out, p)
	}
	slices.SortFunc(out, func(a, b Policy) int { return strings.Compare(a.Name, b.Name) })
	return out
}
