// Package signature owns whether a package's bytes are those that a publisher signed: signed zips as
// jarsigner makes them, checked against certificates that the operator pins to publishers. It must
// never import a room: what a bad signature means is decided where code is deployed.
package signature

import (
	"archive/zip"
	"bytes"
	"crypto"
	_ "crypto/sha256" // the digests that signatures may use
	_ "crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"time"
)

// What is wrong with a package.
var (
	// ErrUnsigned: there is no signature.
	ErrUnsigned = errors.New("signature: the package is not signed")
	// ErrUntrusted: nobody who is trusted signed it, or the certificate's time is over.
	ErrUntrusted = errors.New("signature: no trusted publisher signed the package")
	// ErrTampered: it is not what was signed.
	ErrTampered = errors.New("signature: the package is not what was signed")
)

const (
	// metaBytesMax bounds each of the files that make the signature.
	metaBytesMax = 16 << 20
	// signersMax bounds how many signatures are tried.
	signersMax = 16

	folder       = "META-INF/"
	manifestName = folder + "MANIFEST.MF"
)

var digests = map[string]crypto.Hash{"SHA-256": crypto.SHA256, "SHA-384": crypto.SHA384, "SHA-512": crypto.SHA512}

// Verify checks a zip archive of at most unzippedMax bytes, and tells who of the publishers signed it. Source: JAR File Specification, "Signed
// JAR File": the manifest has each file's digest, a signature file the manifest's, and the block beside it
// is signed. Stricter than that: each file must be signed, and each that was signed be there.
func (p Profiles) Verify(archive io.ReaderAt, size, unzippedMax int64, publishers []string, now time.Time) (by string, err error) {
	r, err := zip.NewReader(archive, size)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrTampered, err)
	}
	s := signed{meta: map[string]*zip.File{}}
	for _, f := range r.File {
		if err := s.sort(f); err != nil {
			return "", err
		}
	}
	if len(s.signatures) == 0 {
		return "", ErrUnsigned
	}
	manifest, err := s.checkFiles(unzippedMax)
	if err != nil {
		return "", err
	}
	for _, name := range s.signatures {
		text, err := read(s.meta[name])
		if err != nil {
			return "", err
		}
		if err := checkManifest(text, manifest); err != nil {
			return "", err
		}
		if block := s.blockOf(name); block != nil && by == "" {
			der, err := read(block)
			if err != nil {
				return "", err
			}
			by = p.signedBy(publishers, text, der, now)
		}
	}
	if by == "" {
		return "", ErrUntrusted
	}
	return by, nil
}

// signed is an archive in its parts.
type signed struct {
	meta       map[string]*zip.File // by name in upper case
	signatures []string
	files      []*zip.File
}

func (s *signed) sort(f *zip.File) error {
	name := strings.ToUpper(f.Name)
	if strings.HasSuffix(name, "/") {
		return nil
	}
	ending := path.Ext(name)
	is := strings.HasPrefix(name, folder) && !strings.Contains(name[len(folder):], "/") &&
		(name == manifestName || ending == ".SF" || ending == ".RSA" || ending == ".EC" || ending == ".DSA")
	if !is {
		s.files = append(s.files, f)
		return nil
	}
	if s.meta[name] != nil {
		return fmt.Errorf("%w: it has %q twice", ErrTampered, f.Name)
	}
	s.meta[name] = f
	if ending == ".SF" {
		s.signatures = append(s.signatures, name)
	}
	if len(s.signatures) > signersMax {
		return fmt.Errorf("%w: it has more than %d signatures", ErrTampered, signersMax)
	}
	return nil
}

func (s *signed) blockOf(signature string) *zip.File {
	base := strings.TrimSuffix(signature, ".SF")
	if f := s.meta[base+".RSA"]; f != nil {
		return f
	}
	return s.meta[base+".EC"]
}

// checkFiles compares all files with the manifest, and returns that.
func (s *signed) checkFiles(unzippedMax int64) ([]byte, error) {
	f := s.meta[manifestName]
	if f == nil {
		return nil, fmt.Errorf("%w: it has no manifest", ErrTampered)
	}
	manifest, err := read(f)
	if err != nil {
		return nil, err
	}
	_, named, err := sections(manifest)
	if err != nil {
		return nil, err
	}
	left := unzippedMax
	for _, f := range s.files {
		attributes, ok := named[f.Name]
		if !ok {
			return nil, fmt.Errorf("%w: %q is not signed, or twice there", ErrTampered, f.Name)
		}
		delete(named, f.Name)
		n, err := checkFile(f, attributes, left)
		if err != nil {
			return nil, err
		}
		left -= n
	}
	for name, attributes := range named {
		if _, _, ok := digestIn(attributes, "-Digest"); ok {
			return nil, fmt.Errorf("%w: %q is missing", ErrTampered, name)
		}
	}
	return manifest, nil
}

func checkFile(f *zip.File, attributes map[string]string, most int64) (int64, error) {
	hash, want, ok := digestIn(attributes, "-Digest")
	if !ok {
		return 0, fmt.Errorf("%w: %q has no digest", ErrTampered, f.Name)
	}
	content, err := f.Open()
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrTampered, err)
	}
	defer content.Close()
	sum := hash.New()
	n, err := io.Copy(sum, io.LimitReader(content, most+1))
	if err != nil || n > most || !bytes.Equal(sum.Sum(nil), want) {
		return n, fmt.Errorf("%w: %q is changed", ErrTampered, f.Name)
	}
	return n, nil
}

// checkManifest compares the manifest with its digest in a signature file.
func checkManifest(signature, manifest []byte) error {
	head, _, err := sections(signature)
	if err != nil {
		return err
	}
	hash, want, ok := digestIn(head, "-Digest-Manifest")
	if !ok {
		return fmt.Errorf("%w: the signature does not cover the whole manifest", ErrTampered)
	}
	sum := hash.New()
	sum.Write(manifest)
	if !bytes.Equal(sum.Sum(nil), want) {
		return fmt.Errorf("%w: its manifest is changed", ErrTampered)
	}
	return nil
}

func digestIn(attributes map[string]string, suffix string) (crypto.Hash, []byte, bool) {
	for name, hash := range digests {
		if v, ok := attributes[name+suffix]; ok {
			sum, err := base64.StdEncoding.DecodeString(v)
			return hash, sum, err == nil && len(sum) == hash.Size()
		}
	}
	return 0, nil, false
}

// sections reads a manifest or a signature file: its main attributes, and those by name.
func sections(text []byte) (head map[string]string, named map[string]map[string]string, err error) {
	lines := strings.ReplaceAll(strings.ReplaceAll(string(text), "\r\n", "\n"), "\r", "\n")
	lines = strings.ReplaceAll(lines, "\n ", "") // a line of 72 bytes goes on in the next
	named = map[string]map[string]string{}
	for _, section := range strings.Split(lines, "\n\n") {
		attributes := map[string]string{}
		for _, line := range strings.Split(section, "\n") {
			if line == "" {
				continue
			}
			key, v, ok := strings.Cut(line, ": ")
			if _, twice := attributes[key]; !ok || twice {
				return nil, nil, fmt.Errorf("%w: its manifest cannot be read", ErrTampered)
			}
			attributes[key] = v
		}
		switch name, ok := attributes["Name"]; {
		case head == nil:
			head = attributes
		case ok && named[name] == nil:
			named[name] = attributes
		case len(attributes) > 0:
			return nil, nil, fmt.Errorf("%w: its manifest cannot be read", ErrTampered)
		}
	}
	return head, named, nil
}

func read(f *zip.File) ([]byte, error) {
	r, err := f.Open()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTampered, err)
	}
	defer r.Close()
	b, err := io.ReadAll(io.LimitReader(r, metaBytesMax+1))
	if err != nil || len(b) > metaBytesMax {
		return nil, fmt.Errorf("%w: %q cannot be read", ErrTampered, f.Name)
	}
	return b, nil
}
