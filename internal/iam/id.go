package iam

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	"github.com/lambdad/lambdad/internal/aws"
)

// Prefixes of unique ids (IAM user guide, "IAM identifiers").
const (
	PrefixUser              = "AIDA"
	PrefixRole              = "AROA"
	PrefixGroup             = "AGPA"
	PrefixPolicy            = "ANPA"
	PrefixProfile           = "AIPA"
	PrefixServiceCredential = "ACCA"

	prefixAccessKey = "AKIA"
	prefixSession   = "ASIA"
)

// NewUniqueID makes an id of 21 characters.
func NewUniqueID(prefix string) string {
	var b [11]byte
	rand.Read(b[:])
	return prefix + base32.StdEncoding.EncodeToString(b[:])[:17]
}

// newKeyID makes an access-key id of 20 characters. Like AWS's ids it
// holds the account's number in bits 1 to 40, so that the account of a key can be told
// without asking anybody (sts:GetAccessKeyInfo).
func newKeyID(prefix string, account aws.AccountID) string {
	var b [10]byte
	rand.Read(b[:])
	n, _ := strconv.ParseUint(string(account), 10, 64) // an account id is 12 digits; else 0
	head := 1<<47 | n<<7 | uint64(b[5]&0x7f)
	var h [8]byte
	binary.BigEndian.PutUint64(h[:], head)
	copy(b[:6], h[2:])
	return prefix + base32.StdEncoding.EncodeToString(b[:])
}

// AccountOfKey reads the account out of an access-key id of ours.
func AccountOfKey(id string) (aws.AccountID, bool) {
	if len(id) != 20 || !strings.HasPrefix(id, prefixAccessKey) && !strings.HasPrefix(id, prefixSession) {
		return "", false
	}
	b, err := base32.StdEncoding.DecodeString(id[4:])
	if err != nil {
		return "", false
	}
	var h [8]byte
	copy(h[2:], b[:6])
	n := binary.BigEndian.Uint64(h[:]) & 0x7fffffffff80 >> 7
	if n > 999999999999 {
		return "", false
	}
	return aws.AccountID(fmt.Sprintf("%012d", n)), true
}

// newSecret makes a secret access key of 40 characters.
func newSecret() string {
	var b [30]byte
	rand.Read(b[:])
	return base64.StdEncoding.EncodeToString(b[:])
}
