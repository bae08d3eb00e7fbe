package signature

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"time"
)

// The parts of a CMS SignedData that are read. Source: RFC 5652, sections 5.1 and 5.3.
type (
	contentInfo struct {
		Type    asn1.ObjectIdentifier
		Content asn1.RawValue `asn1:"explicit,tag:0"`
	}
	signedData struct {
		Version      int
		Digests      asn1.RawValue
		Content      asn1.RawValue
		Certificates asn1.RawValue `asn1:"optional,tag:0"`
		Revocations  asn1.RawValue `asn1:"optional,tag:1"`
		Signers      []signerInfo  `asn1:"set"`
	}
	signerInfo struct {
		Version    int
		Signer     asn1.RawValue
		Digest     pkix.AlgorithmIdentifier
		Attributes asn1.RawValue `asn1:"optional,tag:0"`
		Algorithm  pkix.AlgorithmIdentifier
		Signature  []byte
		Unsigned   asn1.RawValue `asn1:"optional,tag:1"`
	}
	attribute struct {
		Type   asn1.ObjectIdentifier
		Values asn1.RawValue `asn1:"set"`
	}
)

var (
	idSignedData    = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}
	idMessageDigest = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 4}
	hashes          = []struct {
		id    asn1.ObjectIdentifier
		hash  crypto.Hash
		rsa   x509.SignatureAlgorithm
		ecdsa x509.SignatureAlgorithm
	}{
		{asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}, crypto.SHA256, x509.SHA256WithRSA, x509.ECDSAWithSHA256},
		{asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 2}, crypto.SHA384, x509.SHA384WithRSA, x509.ECDSAWithSHA384},
		{asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 3}, crypto.SHA512, x509.SHA512WithRSA, x509.ECDSAWithSHA512},
	}
)

// signedBy tells which publisher's certificate has the key that a block signs a text with, "" for none. The
// certificates in the block count for nothing: the operator's are the trust.
func (p Profiles) signedBy(publishers []string, text, block []byte, now time.Time) string {
	var outer contentInfo
	var data signedData
	if rest, err := asn1.Unmarshal(block, &outer); err != nil || len(rest) > 0 || !outer.Type.Equal(idSignedData) {
		return ""
	}
	if rest, err := asn1.Unmarshal(outer.Content.Bytes, &data); err != nil || len(rest) > 0 || len(data.Signers) > signersMax {
		return ""
	}
	for _, publisher := range publishers {
		c := p[publisher]
		if c == nil || now.Before(c.NotBefore) || now.After(c.NotAfter) {
			continue
		}
		for i := range data.Signers {
			if data.Signers[i].by(c, text) {
				return publisher
			}
		}
	}
	return ""
}

func (s *signerInfo) by(c *x509.Certificate, text []byte) bool {
	for _, h := range hashes {
		if !h.id.Equal(s.Digest.Algorithm) {
			continue
		}
		if len(s.Attributes.FullBytes) > 0 {
			sum := h.hash.New()
			sum.Write(text)
			if !bytes.Equal(digestOf(s.Attributes.Bytes), sum.Sum(nil)) {
				return false
			}
			text = bytes.Clone(s.Attributes.FullBytes)
			text[0] = asn1.TagSet | 0x20 // what is signed is the set (RFC 5652, 5.4)
		}
		algorithm := h.rsa
		if c.PublicKeyAlgorithm == x509.ECDSA {
			algorithm = h.ecdsa
		}
		return c.CheckSignature(algorithm, text, s.Signature) == nil
	}
	return false
}

// digestOf is the message digest among signed attributes.
func digestOf(attributes []byte) []byte {
	for len(attributes) > 0 {
		var a attribute
		rest, err := asn1.Unmarshal(attributes, &a)
		if err != nil {
			return nil
		}
		if attributes = rest; a.Type.Equal(idMessageDigest) {
			var sum []byte
			if rest, err := asn1.Unmarshal(a.Values.Bytes, &sum); err != nil || len(rest) > 0 {
				return nil
			}
			return sum
		}
	}
	return nil
}
