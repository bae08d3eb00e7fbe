package worker

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/lambdad/lambdad/internal/sandbox"
)

// listen reads what the sandbox tells until it has ended. It is a stranger's: nothing that it
// says reaches further than its own environment.
func (f *family) listen(line net.Conn) {
	in := bufio.NewReaderSize(line, orderMax)
	for {
		text, err := in.ReadSlice('\n')
		if err != nil || len(text) < 2 {
			break
		}
		if f.take(in, text[0], string(text[1:len(text)-1])) != nil {
			break
		}
	}
	line.Close()
}

func (f *family) take(in io.Reader, kind byte, text string) error {
	if kind == 'P' {
		f.writeRest()
		select {
		case f.answered <- struct{}{}:
		default:
		}
		return nil
	}
	first, second, _ := strings.Cut(text, " ")
	n, err := strconv.Atoi(first)
	if err != nil || n < 0 {
		return errFamilyLine
	}
	if kind == 'O' {
		if n > familyOutputMax {
			return errFamilyLine
		}
		b := make([]byte, n)
		if _, err := io.ReadFull(in, b); err != nil {
			return err
		}
		f.write(b)
		return nil
	}
	if n > len(f.extensions) {
		return errFamilyLine
	}
	m := f.members()[n]
	switch kind {
	case 'S':
		m.began(nil)
	case 'E':
		errno, err := strconv.ParseUint(second, 10, 16)
		if err != nil {
			return errFamilyLine
		}
		m.began(&launchError{&sandbox.ExecError{Path: m.path, Err: syscall.Errno(errno)}, m})
	case 'X':
		status, err := strconv.ParseUint(second, 10, 32)
		if err != nil {
			return errFamilyLine
		}
		m.ended(syscall.WaitStatus(status))
	default:
		return errFamilyLine
	}
	return nil
}

// write takes what extensions wrote into the log, in whole lines: the runtime's lie between.
func (f *family) write(b []byte) {
	whole := bytes.LastIndexByte(b, '\n') + 1
	if whole == 0 {
		if f.partial = append(f.partial, b...); len(f.partial) > eventBytesMax {
			f.writeRest()
		}
		return
	}
	f.log.writeExtension(append(f.partial, b[:whole]...))
	f.partial = append(f.partial[:0], b[whole:]...)
}

// writeRest takes a line whose end has not come.
func (f *family) writeRest() {
	if len(f.partial) > 0 {
		f.log.writeExtension(f.partial)
		f.partial = f.partial[:0]
	}
}

// flush waits until everything that extensions have written is in the log.
func (f *family) flush() {
	select {
	case <-f.answered: // of an order that was given up
	default:
	}
	if f.order("P") != nil {
		return
	}
	select {
	case <-f.answered:
	case <-f.box.Done():
	case <-time.After(flushWait):
	}
}
