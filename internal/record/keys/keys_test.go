package keys

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

const function = "arn:aws:lambda:us-east-1:111111111111:function:f"

var owner = Owner{Partition: "aws", Account: "111111111111", Region: "us-east-1"}

func open(t *testing.T, dir string) *Ring {
	t.Helper()
	r, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestSealed(t *testing.T) {
	dir := t.TempDir()
	named, err := Create(dir, owner)
	if err != nil {
		t.Fatal(err)
	}
	r := open(t, dir)
	for _, key := range []string{"", named.ARN} {
		for _, variables := range []map[string]string{nil, {}, {"A": "plain value", "B": "é\x00"}} {
			sealed, err := r.Seal(key, function, variables)
			if err != nil {
				t.Fatal(err)
			}
			if bytes.Contains(sealed, []byte("plain value")) {
				t.Fatal("it is not encrypted")
			}
			// Another process, that reads the keys anew.
			got, err := open(t, dir).Unseal(key, function, sealed)
			if err != nil || len(got) != len(variables) || got["B"] != variables["B"] {
				t.Fatal(got, err)
			}
			for what, try := range map[string]func() ([]byte, string){
				"another function": func() ([]byte, string) { return sealed, function + "2" },
				"a short one":      func() ([]byte, string) { return sealed[:headBytes+wrapBytes], function },
				"nothing":          func() ([]byte, string) { return nil, function },
				"a changed end":    func() ([]byte, string) { return flip(sealed, len(sealed)-1), function },
				"a changed key":    func() ([]byte, string) { return flip(sealed, headBytes+nonceBytes), function },
				"another form":     func() ([]byte, string) { return flip(sealed, 0), function },
			} {
				b, of := try()
				if _, err := r.Unseal(key, of, b); !errors.Is(err, ErrDenied) {
					t.Errorf("%s: %v", what, err)
				}
			}
		}
	}
	a, _ := r.Seal("", function, map[string]string{"A": "1"})
	b, _ := r.Seal("", function, map[string]string{"A": "1"})
	c, _ := r.Seal("", function, map[string]string{"A": "2"})
	d, _ := r.Seal(named.ARN, function, map[string]string{"A": "1"})
	if bytes.Equal(a, b) || !Same(a, b) || Same(a, c) || Same(a, d) || Same(nil, nil) {
		t.Error("envelopes do not tell what is the same")
	}
	if _, err := r.Unseal(named.ARN, function, a); !errors.Is(err, ErrDenied) {
		t.Error("the wrong key opened it:", err)
	}
}

func flip(b []byte, at int) []byte {
	b = bytes.Clone(b)
	b[at] ^= 1
	return b
}

func TestStates(t *testing.T) {
	dir := t.TempDir()
	r := open(t, dir)
	k, err := Create(dir, owner)
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		do   func() error
		want error
	}{
		{func() error { return nil }, nil},
		{func() error { _, err := SetState(dir, k.ARN, Disabled); return err }, ErrDisabled},
		{func() error { _, err := SetState(dir, k.ARN, PendingDeletion); return err }, ErrState},
		{func() error { _, err := SetState(dir, k.ARN, Enabled); return err }, nil},
		{func() error { return Remove(dir, k.ARN) }, ErrNotFound},
	} {
		if err := errors.Join(step.do(), r.Reload()); err != nil {
			t.Fatal(err)
		}
		if err := r.Usable(k.ARN, owner.Account); !errors.Is(err, step.want) {
			t.Errorf("%v, want %v", err, step.want)
		}
	}
	for _, err := range []error{Remove(dir, k.ARN), func() error { _, err := SetState(dir, "arn:../../local", Disabled); return err }()} {
		if !errors.Is(err, ErrNotFound) {
			t.Error(err)
		}
	}
	other, _ := Create(dir, Owner{Partition: "aws", Account: "222222222222", Region: "us-east-1"})
	r.Reload()
	if err := r.Usable(other.ARN, owner.Account); !errors.Is(err, ErrDenied) {
		t.Error("a key of another account:", err)
	}
	if s := fmt.Sprintf("%v %+v %#v %s", other, other, other, other); bytes.Contains([]byte(s), other.Material[:4]) || len(s) > 600 {
		t.Error("material in a log:", s)
	}
}

func TestFiles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	var wg sync.WaitGroup
	rings := make([]*Ring, 8) // nodes that start at once
	for i := range rings {
		wg.Go(func() { rings[i], _ = Open(dir) })
	}
	wg.Wait()
	for _, r := range rings {
		if r == nil || !bytes.Equal(r.local, rings[0].local) {
			t.Fatal("they do not agree on the key")
		}
	}
	if _, err := Create(dir, owner); err != nil {
		t.Fatal(err)
	}
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if info, err := e.Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Error(e.Name(), info.Mode(), err)
		}
	}
	if len(entries) != 2 {
		t.Error(entries)
	}
	os.WriteFile(filepath.Join(dir, "x.key"), []byte(`{"arn":"arn:aws:kms:us-east-1:111111111111:key/x","material":"AA=="}`), 0o600)
	if _, err := Open(dir); err == nil {
		t.Error("a key without material was taken")
	}
	os.Remove(filepath.Join(dir, "x.key"))
	os.WriteFile(filepath.Join(dir, localName), []byte("short"), 0o600)
	if _, err := Open(dir); err == nil {
		t.Error("a short key was taken")
	}
}

func FuzzUnseal(f *testing.F) {
	r, err := Open(f.TempDir())
	if err != nil {
		f.Fatal(err)
	}
	sealed, _ := r.Seal("", function, map[string]string{"A": "b"})
	f.Add(sealed)
	f.Add(sealed[:headBytes])
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := r.Unseal("", function, b); err == nil && !bytes.Equal(b, sealed) {
			t.Error("opened what nobody sealed")
		}
	})
}

func FuzzKeyFile(f *testing.F) {
	f.Add([]byte(`{"arn":"arn:aws:kms:us-east-1:111111111111:key/x"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if k, err := decodeKey("/keys/x.key", b); err == nil && len(k.Material) != keyBytes {
			t.Error(k)
		}
	})
}
