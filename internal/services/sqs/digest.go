package sqs

import (
	"crypto/md5" //nolint:gosec // the digest that the API has
	"encoding/binary"
	"encoding/hex"
	"maps"
	"slices"
	"strings"
)

func md5Hex(b []byte) string {
	sum := md5.Sum(b)
	return hex.EncodeToString(sum[:])
}

// attributesDigest is MD5OfMessageAttributes, "" without attributes (developer
// guide, "Calculating the MD5 message digest for message attributes").
func attributesDigest(attributes map[string]Attribute) string {
	if len(attributes) == 0 {
		return ""
	}
	var b []byte
	field := func(s string) {
		b = binary.BigEndian.AppendUint32(b, uint32(len(s)))
		b = append(b, s...)
	}
	for _, name := range slices.Sorted(maps.Keys(attributes)) {
		a := attributes[name]
		field(name)
		field(a.Type)
		if isBinary(a.Type) {
			b = append(b, 2)
			field(string(a.Binary))
		} else {
			b = append(b, 1)
			field(a.Text)
		}
	}
	return md5Hex(b)
}

func isBinary(dataType string) bool { return strings.HasPrefix(dataType, "Binary") }
