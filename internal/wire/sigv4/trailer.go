package sigv4

import (
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"net/http"
	"strings"
)

// checksums are those that SDKs send behind a body, by their header. Source: Amazon S3 User Guide, "Checking object integrity".
func checksums() map[string]hash.Hash {
	return map[string]hash.Hash{
		"X-Amz-Checksum-Crc32":     crc32.NewIEEE(),
		"X-Amz-Checksum-Crc32c":    crc32.New(crc32.MakeTable(crc32.Castagnoli)),
		"X-Amz-Checksum-Crc64nvme": crc64.New(crc64.MakeTable(nvmePolynomial)),
		"X-Amz-Checksum-Sha1":      sha1.New(),
		"X-Amz-Checksum-Sha256":    sha256.New(),
	}
}

// nvmePolynomial is that of CRC-64/NVME, reversed.
const nvmePolynomial = 0x9a6c9329ac4bc9b5

// checkTrailer compares the body with the checksums that came behind it.
func checkTrailer(body []byte, trailer http.Header) error {
	if len(trailer) == 0 {
		return nil
	}
	for name, sum := range checksums() {
		want := trailer.Get(name)
		if want == "" {
			continue
		}
		sum.Write(body)
		if base64.StdEncoding.EncodeToString(sum.Sum(nil)) != want {
			return fail(ErrPayload, "The value of the trailing header "+strings.ToLower(name)+" does not match what was computed.")
		}
	}
	return nil
}
