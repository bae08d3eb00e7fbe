package main

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
)

// pinOptions says where models come from and go to.
type pinOptions struct {
	Source  string // botocore's data directory
	Version string // botocore's version
	Models  string
}

// strippedKeys are the traits that describe and do not define.
var strippedKeys = map[string]bool{
	"documentation":     true,
	"documentationUrl":  true,
	"deprecatedMessage": true,
	"deprecatedSince":   true,
	"examples":          true,
}

const sourcesFile = "SOURCES"

// gzipMagic is what a compressed model begins with (RFC 1952, 2.3.1).
const gzipMagic = "\x1f\x8b"

// pin writes a stripped copy of each service's model, and remembers in
// models/SOURCES where it came from.
func pin(opt pinOptions, services []string) error {
	sources, err := readSources(filepath.Join(opt.Models, sourcesFile))
	if err != nil {
		return err
	}
	for _, s := range services {
		service, apiVersion, ok := strings.Cut(s, "/")
		if !ok {
			return fmt.Errorf("%q: want service/api-version", s)
		}
		origin := service + "/" + apiVersion + "/service-2.json.gz"
		raw, err := os.ReadFile(filepath.Join(opt.Source, origin))
		if errors.Is(err, fs.ErrNotExist) {
			origin = strings.TrimSuffix(origin, ".gz") // as botocore shipped models before 1.32
			raw, err = os.ReadFile(filepath.Join(opt.Source, origin))
		}
		if err != nil {
			return fmt.Errorf("pin %s: %w", service, err)
		}
		pinned, err := stripModel(raw)
		if err != nil {
			return fmt.Errorf("pin %s: %w", service, err)
		}
		if err := os.WriteFile(filepath.Join(opt.Models, service+".json"), pinned, 0o644); err != nil {
			return fmt.Errorf("pin %s: %w", service, err)
		}
		sum := sha256.Sum256(raw)
		sources[service+".json"] = fmt.Sprintf("botocore %s data/%s sha256:%s", opt.Version, origin, hex.EncodeToString(sum[:]))
	}
	return writeSources(filepath.Join(opt.Models, sourcesFile), sources)
}

// stripModel unpacks a model, drops what only describes, and writes it with one
// line a shape and sorted keys, so that two versions can be compared.
func stripModel(raw []byte) ([]byte, error) {
	data := raw
	if bytes.HasPrefix(raw, []byte(gzipMagic)) {
		zr, err := gzip.NewReader(bytes.NewReader(raw))
		if err != nil {
			return nil, err
		}
		if data, err = io.ReadAll(zr); err != nil {
			return nil, err
		}
	}
	root, err := parseOrdered(data)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	out.WriteString("{\n")
	sections := []string{"metadata", "operations", "shapes"}
	for i, section := range sections {
		value := root.get(section)
		if value == nil {
			return nil, fmt.Errorf("the model has no %q", section)
		}
		value.strip(section != "metadata")
		fmt.Fprintf(&out, "%s:{\n", quote(section))
		value.sortKeys()
		for j, f := range value.fields {
			fmt.Fprintf(&out, "%s:", quote(f.key))
			f.value.write(&out)
			if j < len(value.fields)-1 {
				out.WriteByte(',')
			}
			out.WriteByte('\n')
		}
		out.WriteByte('}')
		if i < len(sections)-1 {
			out.WriteByte(',')
		}
		out.WriteByte('\n')
	}
	out.WriteString("}\n")
	return out.Bytes(), nil
}

// ordered is a JSON value that remembers the order of an object's keys.
type ordered struct {
	fields []field         // an object
	items  []*ordered      // an array
	scalar json.RawMessage // anything else
}

type field struct {
	key   string
	value *ordered
}

func parseOrdered(data []byte) (*ordered, error) {
	data = bytes.TrimSpace(data)
	if len(data) == 0 {
		return nil, io.ErrUnexpectedEOF
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	switch data[0] {
	case '{':
		if _, err := dec.Token(); err != nil {
			return nil, err
		}
		v := &ordered{fields: []field{}}
		for dec.More() {
			key, err := dec.Token()
			if err != nil {
				return nil, err
			}
			var raw json.RawMessage
			if err := dec.Decode(&raw); err != nil {
				return nil, err
			}
			child, err := parseOrdered(raw)
			if err != nil {
				return nil, err
			}
			v.fields = append(v.fields, field{key.(string), child})
		}
		return v, nil
	case '[':
		var raws []json.RawMessage
		if err := dec.Decode(&raws); err != nil {
			return nil, err
		}
		v := &ordered{items: []*ordered{}}
		for _, raw := range raws {
			child, err := parseOrdered(raw)
			if err != nil {
				return nil, err
			}
			v.items = append(v.items, child)
		}
		return v, nil
	}
	return &ordered{scalar: data}, nil
}

func (v *ordered) get(key string) *ordered {
	for _, f := range v.fields {
		if f.key == key {
			return f.value
		}
	}
	return nil
}

// strip drops the describing traits. The keys of a table of names (members,
// shapes, operations) are names, which a member called "documentation" keeps.
func (v *ordered) strip(isTable bool) {
	kept := v.fields[:0]
	for _, f := range v.fields {
		if !isTable && strippedKeys[f.key] {
			continue
		}
		f.value.strip(!isTable && f.key == "members")
		kept = append(kept, f)
	}
	v.fields = kept
	for _, item := range v.items {
		item.strip(false)
	}
}

func (v *ordered) sortKeys() {
	sort.Slice(v.fields, func(i, j int) bool { return v.fields[i].key < v.fields[j].key })
}

// write writes compactly with sorted keys, but for members: their order is part
// of the model.
func (v *ordered) write(out *bytes.Buffer) {
	switch {
	case v.fields != nil:
		v.sortKeys()
		v.writeFields(out, "members")
	case v.items != nil:
		out.WriteByte('[')
		for i, item := range v.items {
			if i > 0 {
				out.WriteByte(',')
			}
			item.write(out)
		}
		out.WriteByte(']')
	default:
		out.Write(v.scalar)
	}
}

func (v *ordered) writeFields(out *bytes.Buffer, unsorted string) {
	out.WriteByte('{')
	for i, f := range v.fields {
		if i > 0 {
			out.WriteByte(',')
		}
		out.WriteString(quote(f.key))
		out.WriteByte(':')
		if f.key == unsorted && f.value.fields != nil {
			f.value.writeMembers(out)
		} else {
			f.value.write(out)
		}
	}
	out.WriteByte('}')
}

func (v *ordered) writeMembers(out *bytes.Buffer) {
	out.WriteByte('{')
	for i, f := range v.fields {
		if i > 0 {
			out.WriteByte(',')
		}
		out.WriteString(quote(f.key))
		out.WriteByte(':')
		f.value.write(out)
	}
	out.WriteByte('}')
}

func quote(s string) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		panic("a string always encodes: " + err.Error())
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func readSources(path string) (map[string]string, error) {
	sources := map[string]string{}
	data, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return sources, nil
	}
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(data)) {
		if name, origin, ok := strings.Cut(strings.TrimSpace(line), ": "); ok && !strings.HasPrefix(line, "#") {
			sources[name] = origin
		}
	}
	return sources, nil
}

func writeSources(path string, sources map[string]string) error {
	var b bytes.Buffer
	b.WriteString("# Where each pinned model came from: package, version, file, hash of the file as it was shipped.\n")
	b.WriteString("# Documentation and examples are stripped; shapes and traits are AWS's (Apache-2.0).\n")
	names := make([]string, 0, len(sources))
	for name := range sources {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		fmt.Fprintf(&b, "%s: %s\n", name, sources[name])
	}
	return os.WriteFile(path, b.Bytes(), 0o644)
}
