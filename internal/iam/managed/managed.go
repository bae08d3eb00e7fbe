// Package managed owns the AWS managed policies: their names, versions and
// documents, as pinned by `apigen pin-policies` (models/SOURCES says from where). It
// must never import the directory or the store, because these policies are the same
// in every account and no caller can change them.
package managed

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base32"
	"encoding/json"
	"fmt"
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
	ID          string // AWS's own where it is known, else one that is always the same
	Description string // "" where it is not known
	Version     string // the default version's id
	Created     time.Time
	Updated     time.Time
	Document    string // "" in List
}

// arnPrefix is what the ARNs of AWS's own policies begin with; the path follows.
const arnPrefix = "arn:aws:iam::aws:policy"

// archived holds a file for each policy, by its name: one is read without the others, and all
// of them together stay compressed.
//
//go:embed policies.zip
var archived []byte

// knownText tells by ARN what the archive's source leaves out.
//
//go:embed known.json
var knownText []byte

// file is the form of an archived policy.
type file struct {
	Path     string          `json:"path"`
	Version  string          `json:"version"`
	Created  time.Time       `json:"created"`
	Updated  time.Time       `json:"updated"`
	Document json.RawMessage `json:"document"`
}

type knownPolicy struct {
	ID          string `json:"id"`
	Description string `json:"description"`
}

// archive is opened once, when first asked.
var archive = sync.OnceValue(func() map[string]*zip.File {
	r, err := zip.NewReader(bytes.NewReader(archived), int64(len(archived)))
	if err != nil {
		panic("the embedded managed policies cannot be read: " + err.Error())
	}
	files := make(map[string]*zip.File, len(r.File))
	for _, f := range r.File {
		files[f.Name] = f
	}
	return files
})

var known = sync.OnceValue(func() map[string]knownPolicy {
	m := map[string]knownPolicy{}
	if err := json.Unmarshal(knownText, &m); err != nil {
		panic("the embedded ids of managed policies cannot be read: " + err.Error())
	}
	return m
})

// found keeps what Find has read: few policies are used, and those again and again.
var found sync.Map // ARN to Policy

// Find returns the policy with an ARN.
func Find(arn string) (Policy, bool) {
	if !strings.HasPrefix(arn, arnPrefix+"/") {
		return Policy{}, false
	}
	if p, ok := found.Load(arn); ok {
		return p.(Policy), true
	}
	f, ok := archive()[arn[strings.LastIndexByte(arn, '/')+1:]]
	if !ok {
		return Policy{}, false
	}
	p := read(f)
	if p.ARN != arn { // of another path
		return Policy{}, false
	}
	found.Store(arn, p)
	return p, true
}

// list has no documents.
var list = sync.OnceValue(func() []Policy {
	var all []Policy
	for _, f := range archive() {
		p := read(f)
		p.Document = ""
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b Policy) int { return strings.Compare(a.Name, b.Name) })
	return all
})

// List returns all policies without their documents, in the order of their names.
func List() []Policy { return slices.Clone(list()) }

// read panics on an archive that is not as the tests have seen it.
func read(f *zip.File) Policy {
	r, err := f.Open()
	if err != nil {
		panic(fmt.Sprintf("the embedded managed policy %s: %v", f.Name, err))
	}
	defer r.Close()
	var own file
	if err := json.NewDecoder(r).Decode(&own); err != nil {
		panic(fmt.Sprintf("the embedded managed policy %s: %v", f.Name, err))
	}
	p := Policy{
		Name: f.Name, Path: own.Path, ARN: arnPrefix + own.Path + f.Name, Version: own.Version,
		Created: own.Created.UTC(), Updated: own.Updated.UTC(), Document: string(own.Document),
	}
	if k, ok := known()[p.ARN]; ok {
		p.ID, p.Description = k.ID, k.Description
	} else {
		p.ID = derivedID(p.ARN)
	}
	return p
}

// derivedID has the form of a managed policy's id. Source: IAM user guide, "Unique identifiers".
func derivedID(arn string) string {
	sum := sha256.Sum256([]byte(arn))
	return "ANPA" + base32.StdEncoding.EncodeToString(sum[:])[:17]
}
