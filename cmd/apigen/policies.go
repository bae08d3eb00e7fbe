package main

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// policiesOptions says where AWS's managed policies come from and go to.
type policiesOptions struct {
	Source  string // moto's iam/aws_managed_policies.py
	Version string // moto's version
	Models  string
	Out     string
}

// listedPolicy is a policy as the source lists it: what IAM answered for it.
type listedPolicy struct {
	Path             string          `json:"Path"`
	DefaultVersionID string          `json:"DefaultVersionId"`
	Created          string          `json:"CreateDate"`
	Updated          string          `json:"UpdateDate"`
	Document         json.RawMessage `json:"Document"`
}

// pinnedPolicy is a file of the pinned archive. internal/iam/managed reads it.
type pinnedPolicy struct {
	Path     string          `json:"path"`
	Version  string          `json:"version"`
	Created  string          `json:"created"`
	Updated  string          `json:"updated"`
	Document json.RawMessage `json:"document"`
}

// pinPolicies writes AWS's managed policies into an archive with a file for each, so that one can be
// read without the others, and remembers in models/SOURCES where they came from.
func pinPolicies(opt policiesOptions) error {
	raw, err := os.ReadFile(opt.Source)
	if err != nil {
		return fmt.Errorf("pin policies: %w", err)
	}
	// The source is one Python string that holds a JSON object.
	_, text, begins := strings.Cut(string(raw), `"""`)
	text, _, ends := strings.Cut(text, `"""`)
	if !begins || !ends {
		return fmt.Errorf("pin policies: %s holds no text in triple quotes", opt.Source)
	}
	listed := map[string]listedPolicy{}
	if err := json.Unmarshal([]byte(text), &listed); err != nil {
		return fmt.Errorf("pin policies: %w", err)
	}
	archive, err := archivePolicies(listed)
	if err != nil {
		return fmt.Errorf("pin policies: %w", err)
	}
	if err := os.WriteFile(opt.Out, archive, 0o644); err != nil {
		return fmt.Errorf("pin policies: %w", err)
	}
	sources, err := readSources(filepath.Join(opt.Models, sourcesFile))
	if err != nil {
		return err
	}
	sum := sha256.Sum256(raw)
	sources[filepath.Base(opt.Out)] = fmt.Sprintf("moto %s iam/aws_managed_policies.py sha256:%s", opt.Version, hex.EncodeToString(sum[:]))
	return writeSources(filepath.Join(opt.Models, sourcesFile), sources)
}

func archivePolicies(listed map[string]listedPolicy) ([]byte, error) {
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	w.RegisterCompressor(zip.Deflate, func(out io.Writer) (io.WriteCloser, error) { return flate.NewWriter(out, flate.BestCompression) })
	for _, name := range slices.Sorted(maps.Keys(listed)) {
		p := listed[name]
		b, err := json.Marshal(pinnedPolicy{p.Path, p.DefaultVersionID, p.Created, p.Updated, p.Document})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		f, err := w.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate})
		if err != nil {
			return nil, err
		}
		if _, err := f.Write(b); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}
