package kernel

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os/exec"

	"github.com/klauspost/compress/zstd"
)

// imageMax bounds an uncompressed kernel.
const imageMax = 256 << 20

var elfMagic = []byte("\x7fELF")

// packings are how a bzImage may hold its kernel, by their first bytes.
// Source: the kernel's scripts/extract-vmlinux.
var packings = []struct {
	magic  []byte
	unpack func([]byte) ([]byte, error)
}{
	{[]byte{0x02, 0x21, 0x4c, 0x18}, unlz4},
	{[]byte{0x28, 0xb5, 0x2f, 0xfd}, unzstd},
	{[]byte{0x1f, 0x8b, 0x08}, ungzip},
	{[]byte{0xfd, '7', 'z', 'X', 'Z', 0}, unxz},
}

// Extract finds the ELF kernel in a bzImage.
func Extract(image []byte) ([]byte, error) {
	if bytes.HasPrefix(image, elfMagic) {
		return image, nil
	}
	err := errors.New("kernel: an image with no kernel in it")
	for _, p := range packings {
		for at := 0; ; {
			i := bytes.Index(image[at:], p.magic)
			if i < 0 {
				break
			}
			at += i
			content, failed := p.unpack(image[at:])
			if bytes.HasPrefix(content, elfMagic) {
				return content, nil
			}
			err = errors.Join(err, failed)
			at++
		}
	}
	return nil, err
}

func ungzip(p []byte) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(p))
	if err != nil {
		return nil, err
	}
	r.Multistream(false)
	return readAll(r, imageMax)
}

func unzstd(p []byte) ([]byte, error) {
	d, err := zstd.NewReader(bytes.NewReader(p), zstd.WithDecoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	defer d.Close()
	content, err := readAll(d, imageMax)
	if bytes.HasPrefix(content, elfMagic) {
		return content, nil // what follows the frame is not ours
	}
	return nil, err
}

// unxz asks the tool: kernels packed so are rare.
func unxz(p []byte) ([]byte, error) {
	command := exec.CommandContext(context.Background(), "xz", "-dc", "--single-stream")
	command.Stdin = bytes.NewReader(p)
	out := &bytes.Buffer{}
	command.Stdout = out
	if err := command.Run(); err != nil && !bytes.HasPrefix(out.Bytes(), elfMagic) {
		return nil, fmt.Errorf("kernel: xz: %w", err)
	}
	return out.Bytes(), nil
}

// unlz4 reads LZ4's legacy frame, which is what the kernel's build makes:
// blocks of 8 MiB, each after its length.
func unlz4(p []byte) ([]byte, error) {
	const block = 8 << 20
	var out []byte
	for p = p[4:]; len(p) >= 4; {
		n := int(binary.LittleEndian.Uint32(p))
		if n == 0 || n > len(p)-4 || n > block+block/255+16 {
			break // what follows is not of the frame
		}
		var err error
		before := len(out)
		if out, err = lz4Block(out, p[4:4+n], before+block); err != nil {
			if before > 0 {
				return out[:before], nil
			}
			return nil, err
		}
		if len(out) > imageMax {
			return nil, errors.New("kernel: too large")
		}
		p = p[4+n:]
		if len(out)-before < block {
			break // the last one
		}
	}
	return out, nil
}

var errLZ4 = errors.New("kernel: broken LZ4 block")

// lz4Block appends what a block holds. Source: LZ4's "Block Format Description".
func lz4Block(out, p []byte, limit int) ([]byte, error) {
	start := len(out)
	for {
		if len(p) == 0 {
			return out, errLZ4
		}
		token := p[0]
		p = p[1:]
		var literals int
		var ok bool
		if literals, p, ok = lz4Length(int(token>>4), p); !ok || literals > len(p) || len(out)+literals > limit {
			return out, errLZ4
		}
		out = append(out, p[:literals]...)
		p = p[literals:]
		if len(p) == 0 {
			return out, nil
		}
		if len(p) < 2 {
			return out, errLZ4
		}
		back := int(binary.LittleEndian.Uint16(p))
		var length int
		if length, p, ok = lz4Length(int(token&15), p[2:]); !ok {
			return out, errLZ4
		}
		length += 4
		if back == 0 || back > len(out)-start || len(out)+length > limit {
			return out, errLZ4
		}
		for range length { // it may overlap what it makes
			out = append(out, out[len(out)-back])
		}
	}
}

func lz4Length(n int, p []byte) (int, []byte, bool) {
	if n < 15 {
		return n, p, true
	}
	for {
		if len(p) == 0 || n > imageMax {
			return 0, nil, false
		}
		b := p[0]
		p = p[1:]
		n += int(b)
		if b < 255 {
			return n, p, true
		}
	}
}
