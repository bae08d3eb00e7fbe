package artifact

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
)

// Digest is the lower-case hex SHA-256 of an artifact's bytes.
type Digest string

// ParseDigest accepts 64 lower-case hex digits and nothing else.
func ParseDigest(s string) (Digest, error) {
	d := Digest(s)
	if !d.valid() {
		return "", fmt.Errorf("%w: %q is not a SHA-256 in lower-case hex", ErrNotFound, clip(s))
	}
	return d, nil
}

// Base64 is the form in which Lambda shows it, as CodeSha256. It is empty if d is
// not a digest.
func (d Digest) Base64() string {
	if !d.valid() {
		return ""
	}
	raw, err := hex.DecodeString(string(d))
	if err != nil {
		return ""
	}
	return base64.StdEncoding.EncodeToString(raw)
}

// valid also makes d safe as a file name; every path below is built only from
// a valid digest.
func (d Digest) valid() bool {
	if len(d) != 2*sha256.Size {
		return false
	}
	for i := 0; i < len(d); i++ {
		if c := d[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// clip keeps what a caller sent short in errors.
func clip(s string) string {
	const shown = 120
	if len(s) <= shown {
		return s
	}
	return s[:shown] + "..."
}
