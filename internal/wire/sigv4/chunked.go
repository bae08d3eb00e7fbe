package sigv4

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"
)

// Bounds of an aws-chunked body.
const (
	chunkLineMax    = 4 << 10  // longer: ErrChunk
	chunkBytesMax   = 5 << 30  // larger: ErrChunk; S3's largest single PUT
	trailerBytesMax = 16 << 10 // longer: ErrChunk
)

// ChunkReader decodes an aws-chunked body. It gives out the bytes of a signed
// chunk as they arrive and fails at the end of the chunk whose signature is
// wrong: what was read before an error must be thrown away.
type ChunkReader struct {
	src      *bufio.Reader
	key      Key
	claim    Claim
	signed   bool
	trailers bool

	prev    Key // signature of the chunk before
	want    Key // signature that this chunk claims
	open    bool
	left    int64
	sum     hash.Hash
	trailer http.Header
	err     error
}

// NewChunkReader decodes src as the verified claim says. It fails if the
// claim is not a streaming one.
func NewChunkReader(src io.Reader, claim Claim, key Key) (*ChunkReader, error) {
	c := &ChunkReader{src: bufio.NewReaderSize(src, 64<<10), key: key, claim: claim, prev: claim.Signature, trailer: http.Header{}}
	switch claim.ContentSHA256 {
	case StreamingPayload:
		c.signed = true
	case StreamingPayloadTrailer:
		c.signed, c.trailers = true, true
	case StreamingUnsignedTrailer:
		c.trailers = true
	default:
		return nil, fail(ErrChunk, "The value of x-amz-content-sha256 header is invalid.")
	}
	c.sum = sha256.New()
	return c, nil
}

// Unchunk decodes a whole aws-chunked body as the verified claim says, and holds it to what the
// request's header announces of it.
func Unchunk(body []byte, claim Claim, key Key, header http.Header) ([]byte, error) {
	r, err := NewChunkReader(bytes.NewReader(body), claim, key)
	if err != nil {
		return nil, err
	}
	decoded, err := r.whole(len(body))
	if err != nil {
		return nil, err
	}
	if length := header.Get("X-Amz-Decoded-Content-Length"); length != "" && length != strconv.Itoa(len(decoded)) {
		return nil, fail(ErrChunk, "You did not provide the number of bytes specified by the X-Amz-Decoded-Content-Length HTTP header.")
	}
	for name := range strings.SplitSeq(header.Get("X-Amz-Trailer"), ",") {
		if name = strings.TrimSpace(name); name != "" && r.trailer.Get(name) == "" {
			return nil, fail(ErrChunk, "The request body has not the trailing header "+strings.ToLower(name)+" that was announced.")
		}
	}
	return decoded, checkTrailer(decoded, r.trailer)
}

// Unframe decodes a whole aws-chunked body, of which nothing is verified: what a request asks for
// must be known before it is known who asks.
func Unframe(body []byte, contentSHA256 string) ([]byte, error) {
	r, err := NewChunkReader(bytes.NewReader(body), Claim{ContentSHA256: contentSHA256}, Key{})
	if err != nil {
		return nil, err
	}
	r.signed = false
	return r.whole(len(body))
}

// Streaming reports whether a value of x-amz-content-sha256 announces an aws-chunked body.
func Streaming(contentSHA256 string) bool { return strings.HasPrefix(contentSHA256, "STREAMING-") }

// whole reads everything; what it decodes to is never longer than sizeMax.
func (c *ChunkReader) whole(sizeMax int) ([]byte, error) {
	decoded := bytes.NewBuffer(make([]byte, 0, sizeMax))
	if _, err := io.Copy(decoded, c); err != nil {
		return nil, err
	}
	if _, err := c.src.ReadByte(); !errors.Is(err, io.EOF) {
		return nil, malformedChunk() // something stands behind the end
	}
	return decoded.Bytes(), nil
}

// Trailer returns the trailing headers; they are complete after io.EOF.
func (c *ChunkReader) Trailer() http.Header { return c.trailer }

func (c *ChunkReader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for c.err == nil {
		switch {
		case !c.open:
			c.err = c.openChunk()
		case c.left == 0:
			c.err = c.closeChunk()
		default:
			n, err := c.src.Read(p[:min(int64(len(p)), c.left)])
			if c.signed {
				c.sum.Write(p[:n])
			}
			c.left -= int64(n)
			if err != nil {
				c.err = truncated(err)
			}
			if n > 0 {
				return n, nil
			}
		}
	}
	return 0, c.err
}

// openChunk reads "SIZE[;chunk-signature=HEX]"; size 0 is the end.
func (c *ChunkReader) openChunk() error {
	line, err := c.line(chunkLineMax)
	if err != nil {
		return truncated(err)
	}
	size, extension, _ := strings.Cut(line, ";")
	n, err := strconv.ParseInt(size, 16, 64)
	if err != nil || n < 0 || n > chunkBytesMax || size[0] == '+' || size[0] == '-' {
		return malformedChunk()
	}
	if c.signed {
		name, value, _ := strings.Cut(strings.TrimSpace(extension), "=")
		if name != "chunk-signature" || !decodeKey(&c.want, value) {
			return malformedChunk()
		}
	}
	if n == 0 {
		return c.finish()
	}
	c.open, c.left = true, n
	c.sum.Reset()
	return nil
}

// closeChunk reads the line end behind the data and checks the signature.
func (c *ChunkReader) closeChunk() error {
	if line, err := c.line(2); err != nil || line != "" {
		return malformedChunk()
	}
	c.open = false
	return c.checkChunk()
}

func (c *ChunkReader) checkChunk() error {
	if !c.signed {
		return nil
	}
	got := c.link("AWS4-HMAC-SHA256-PAYLOAD", HashPayload(nil), c.sum.Sum(nil))
	if subtle.ConstantTimeCompare(got[:], c.want[:]) != 1 {
		return fail(ErrMismatch, mismatchText)
	}
	c.prev = got
	return nil
}

// finish checks the empty last chunk, then the trailer.
func (c *ChunkReader) finish() error {
	c.sum.Reset()
	if err := c.checkChunk(); err != nil {
		return err
	}
	var signedText strings.Builder
	proven := !c.trailers || !c.signed
	for budget := trailerBytesMax; ; {
		line, err := c.line(budget)
		if errors.Is(err, io.EOF) && line == "" {
			break // no empty line behind the trailer: some clients leave it out
		}
		if err != nil {
			return err
		}
		if line == "" {
			break
		}
		budget -= len(line)
		name, value, ok := strings.Cut(line, ":")
		if !ok || !c.trailers || budget <= 0 {
			return malformedChunk()
		}
		name, value = strings.ToLower(strings.TrimSpace(name)), strings.TrimSpace(value)
		if c.signed && name == "x-amz-trailer-signature" {
			if !decodeKey(&c.want, value) {
				return malformedChunk()
			}
			text := sha256.Sum256([]byte(signedText.String()))
			got := c.link("AWS4-HMAC-SHA256-TRAILER", "", text[:])
			if subtle.ConstantTimeCompare(got[:], c.want[:]) != 1 {
				return fail(ErrMismatch, mismatchText)
			}
			proven = true
			continue
		}
		signedText.WriteString(name + ":" + value + "\n")
		c.trailer.Add(textproto.CanonicalMIMEHeaderKey(name), value)
		proven = !c.signed // a line behind the signature is not covered by it
	}
	if !proven {
		return fail(ErrMismatch, mismatchText)
	}
	return io.EOF
}

// link signs one member of the chain: kind, time, scope, the signature before
// it, and the hashes. The trailer has one hash, a chunk two.
func (c *ChunkReader) link(kind, emptyHash string, sum []byte) Key {
	text := kind + "\n" + c.claim.Timestamp + "\n" + c.claim.Scope.String() + "\n" + hex.EncodeToString(c.prev[:]) + "\n"
	if emptyHash != "" {
		text += emptyHash + "\n"
	}
	return mac(c.key[:], []byte(text+hex.EncodeToString(sum)))
}

// line reads up to a line feed and drops the line end.
func (c *ChunkReader) line(limit int) (string, error) {
	var b []byte
	for {
		x, err := c.src.ReadByte()
		if err != nil {
			if len(b) == 0 && errors.Is(err, io.EOF) {
				return "", io.EOF
			}
			return string(b), truncated(err)
		}
		if x == '\n' {
			return strings.TrimSuffix(string(b), "\r"), nil
		}
		if len(b) >= limit {
			return "", malformedChunk()
		}
		b = append(b, x)
	}
}

func decodeKey(dst *Key, s string) bool {
	if len(s) != hex.EncodedLen(len(dst)) {
		return false
	}
	_, err := hex.Decode(dst[:], []byte(s))
	return err == nil
}

func malformedChunk() error {
	return fail(ErrChunk, "The request body is not correctly aws-chunked.")
}

func truncated(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fail(ErrChunk, "You did not provide the number of bytes specified by the Content-Length HTTP header.")
	}
	return err
}
