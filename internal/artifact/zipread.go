package artifact

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// directoryBytesMax bounds a zip's central directory: FilesMax entries with
// long names fit.
const directoryBytesMax = 48 << 20 // more: ErrTooMany

// openZip reads the central directory. archive/zip keeps every entry of it in
// memory and believes no count, so the bounds are enforced on the bytes it reads.
func openZip(r io.ReaderAt, size int64, filesMax int) (*zip.Reader, error) {
	bounded := &directoryReader{r: r, headersMax: filesMax, bytesLeft: directoryBytesMax}
	archive, err := zip.NewReader(bounded, size)
	switch {
	case errors.Is(err, ErrTooMany):
		return nil, err
	case err != nil && bounded.failed != nil:
		return nil, fmt.Errorf("artifact: read zip: %w", bounded.failed)
	case err != nil:
		return nil, fmt.Errorf("%w: %v", ErrNotZip, err)
	}
	bounded.unbounded = true
	if len(archive.File) == 0 {
		return nil, ErrEmpty
	}
	return archive, nil
}

// directoryHeader starts each entry of a central directory.
var directoryHeader = []byte("PK\x01\x02")

// directoryReader counts the bytes and the entry headers that pass while the
// directory is read. The number of signatures seen is never less than the
// number of entries, wherever the directory lies and whatever it says of itself.
type directoryReader struct {
	r          io.ReaderAt
	headersMax int
	bytesLeft  int64
	headers    int
	carry      [3]byte // the end of the read before, for a signature across two reads
	next       int64   // offset that carry precedes
	unbounded  bool    // the directory has been read
	failed     error   // of r itself, not of the format
}

func (d *directoryReader) ReadAt(p []byte, off int64) (int, error) {
	n, err := d.r.ReadAt(p, off)
	if err != nil && err != io.EOF {
		d.failed = err
	}
	if d.unbounded {
		return n, err
	}
	d.bytesLeft -= int64(n)
	d.headers += bytes.Count(p[:n], directoryHeader)
	if off == d.next {
		seam := append(append([]byte{}, d.carry[:]...), p[:min(n, 3)]...)
		d.headers += bytes.Count(seam, directoryHeader)
	}
	if n >= 3 {
		copy(d.carry[:], p[n-3:n])
	} else {
		d.carry = [3]byte{}
	}
	d.next = off + int64(n)
	if d.headers > d.headersMax || d.bytesLeft < 0 {
		return 0, fmt.Errorf("%w: more than %d entries in the directory", ErrTooMany, d.headersMax)
	}
	return n, err
}
