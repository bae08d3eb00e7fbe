package signature

import (
	"archive/zip"
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

const (
	ours   = "arn:aws:signer:us-east-1:000000000000:/signing-profiles/ours/abc"
	theirs = "arn:aws:signer:us-east-1:000000000000:/signing-profiles/theirs/abc"
	most   = 1 << 20
)

// run runs one of the JDK's programs.
func run(t *testing.T, program string, args ...string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		t.Skip("needs " + program)
	}
	if out, err := exec.Command(program, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", program, err, out)
	}
}

// publisher makes a key and returns what signs with it, and its certificate's file.
func publisher(t *testing.T, key string) (sign func(archive string), certificate string) {
	t.Helper()
	dir := t.TempDir()
	store := filepath.Join(dir, "keys")
	certificate = filepath.Join(dir, "certificate.pem")
	run(t, "keytool", "-genkeypair", "-keyalg", key, "-alias", "a", "-dname", "CN=a", "-validity", "30", "-keystore", store, "-storepass", "secret", "-storetype", "PKCS12")
	run(t, "keytool", "-exportcert", "-rfc", "-alias", "a", "-file", certificate, "-keystore", store, "-storepass", "secret")
	return func(archive string) { run(t, "jarsigner", "-keystore", store, "-storepass", "secret", archive, "a") }, certificate
}

func archive(t *testing.T, files ...string) string {
	t.Helper()
	at := filepath.Join(t.TempDir(), "code.zip")
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, name := range files {
		f, err := w.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(f, "content of "+name)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(at, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return at
}

// edited copies an archive with each file as edit wants it; nil leaves it out.
func edited(t *testing.T, from []byte, edit func(name string, content []byte) []byte, more ...string) []byte {
	t.Helper()
	r, err := zip.NewReader(bytes.NewReader(from), int64(len(from)))
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	put := func(name string, content []byte) {
		f, err := w.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = f.Write(content)
	}
	for _, f := range r.File {
		content, err := read(f)
		if err != nil {
			t.Fatal(err)
		}
		if content = edit(f.Name, content); content != nil {
			put(f.Name, content)
		}
	}
	for _, name := range more {
		put(name, []byte("more"))
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestVerify(t *testing.T) {
	for _, key := range []string{"RSA", "EC"} {
		t.Run(key, func(t *testing.T) {
			sign, certificate := publisher(t, key)
			_, other := publisher(t, key)
			p, err := ReadProfiles([]string{ours + "=" + certificate, theirs + "=" + other})
			if err != nil {
				t.Fatal(err)
			}
			file := archive(t, "app.py", "a/very/long/name/that/does/not/fit/into/one/line/of/a/manifest/which/has/72/bytes.py")
			plain, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			sign(file)
			whole, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			same := func(_ string, content []byte) []byte { return content }
			now := time.Now()
			for _, c := range []struct {
				name       string
				archive    []byte
				publishers []string
				now        time.Time
				want       error
			}{
				{"signed", whole, []string{theirs, ours}, now, nil},
				{"copied", edited(t, whole, same), []string{ours}, now, nil},
				{"not signed", plain, []string{ours}, now, ErrUnsigned},
				{"signed by another", whole, []string{theirs}, now, ErrUntrusted},
				{"nobody is trusted", whole, nil, now, ErrUntrusted},
				{"expired", whole, []string{ours}, now.AddDate(1, 0, 0), ErrUntrusted},
				{"a file changed", edited(t, whole, func(name string, content []byte) []byte {
					if name == "app.py" {
						return []byte("evil")
					}
					return content
				}), []string{ours}, now, ErrTampered},
				{"a file left out", edited(t, whole, func(name string, content []byte) []byte {
					if name == "app.py" {
						return nil
					}
					return content
				}), []string{ours}, now, ErrTampered},
				{"a file more", edited(t, whole, same, "evil.py"), []string{ours}, now, ErrTampered},
				{"a file twice", edited(t, whole, same, "app.py"), []string{ours}, now, ErrTampered},
				{"the block left out", edited(t, whole, func(name string, content []byte) []byte {
					if ext := filepath.Ext(name); ext == ".RSA" || ext == ".EC" {
						return nil
					}
					return content
				}), []string{ours}, now, ErrUntrusted},
				{"the manifest and a file changed", edited(t, whole, func(name string, content []byte) []byte {
					if name == manifestName {
						return append(content, "Name: evil.py\r\n\r\n"...)
					}
					return content
				}), []string{ours}, now, ErrTampered},
				{"nonsense", []byte("nonsense"), []string{ours}, now, ErrTampered},
			} {
				by, err := p.Verify(bytes.NewReader(c.archive), int64(len(c.archive)), most, c.publishers, c.now)
				if !errors.Is(err, c.want) || (by != "") != (err == nil) || by != "" && !slices.Contains(c.publishers, by) {
					t.Errorf("%s: %q, %v, want %v", c.name, by, err, c.want)
				}
			}
			if _, err := p.Verify(bytes.NewReader(whole), int64(len(whole)), 10, []string{ours}, now); !errors.Is(err, ErrTampered) {
				t.Errorf("larger than allowed: %v", err)
			}
		})
	}
}

func TestReadProfiles(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "bad.pem")
	if err := os.WriteFile(bad, []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{"", "arn:aws:s3:::x=y", ours, ours + "=" + bad, ours + "=" + bad + "-none"} {
		if _, err := ReadProfiles([]string{s}); err == nil {
			t.Errorf("%q was read", s)
		}
	}
}

func FuzzVerify(f *testing.F) {
	f.Add([]byte("Manifest-Version: 1.0\r\n\r\nName: a\r\nSHA-256-Digest: x\r\n\r\n"), []byte{0x30, 0x03, 0x06, 0x01, 0x2a})
	f.Fuzz(func(t *testing.T, text, block []byte) {
		if _, _, err := sections(text); err != nil && !errors.Is(err, ErrTampered) {
			t.Error(err)
		}
		if (Profiles{}).signedBy([]string{ours}, text, block, time.Time{}) != "" {
			t.Error("nobody is trusted")
		}
	})
}
