package telemetryapi

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
)

// answerMax bounds what is read of a listener's answer, head and body; a longer one costs the
// connection.
const answerMax = 64 << 10

// informalMax bounds the 1xx answers before the real one.
const informalMax = 4

// send delivers a batch. keep tells whether the connection can carry another.
func (s *subscriber) send(conn net.Conn, batch [][]byte) (keep bool, err error) {
	if s.Destination.TCP {
		_, err := conn.Write(lines(batch))
		return err == nil, err
	}
	if _, err := conn.Write(s.Destination.request(batch)); err != nil {
		return false, err
	}
	return s.Destination.answer(conn)
}

// lines is newline-delimited JSON.
func lines(batch [][]byte) []byte {
	var b bytes.Buffer
	for _, event := range batch {
		b.Write(event)
		b.WriteByte('\n')
	}
	return b.Bytes()
}

// request is a whole HTTP request.
func (d Destination) request(batch [][]byte) []byte {
	length := 2 + max(0, len(batch)-1)
	for _, event := range batch {
		length += len(event)
	}
	b := make([]byte, 0, length+256+len(d.Path))
	b = append(b, d.Method...)
	b = append(b, ' ')
	b = append(b, d.Path...)
	b = append(b, " HTTP/1.1\r\nHost: "+hostName+":"...)
	b = strconv.AppendInt(b, int64(d.Port), 10)
	b = append(b, "\r\nContent-Type: application/json\r\nContent-Length: "...)
	b = strconv.AppendInt(b, int64(length), 10)
	b = append(b, "\r\n\r\n["...)
	for i, event := range batch {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, event...)
	}
	return append(b, ']')
}

// answer reads what the listener says. Source: Lambda developer guide, "Specifying a destination
// protocol": a request that results in an error is sent again.
func (d Destination) answer(conn net.Conn) (keep bool, err error) {
	limited := &io.LimitedReader{R: conn, N: answerMax}
	r := bufio.NewReaderSize(limited, 4<<10)
	for range informalMax {
		response, err := http.ReadResponse(r, &http.Request{Method: d.Method})
		if err != nil {
			return false, err
		}
		if response.StatusCode < 200 {
			continue
		}
		if response.ContentLength >= 0 || len(response.TransferEncoding) > 0 {
			_, err = io.Copy(io.Discard, response.Body)
			keep = err == nil && !response.Close && limited.N > 0 && r.Buffered() == 0
		} // else the body ends with the connection, and nobody waits for that
		if response.StatusCode >= 300 {
			return keep, fmt.Errorf("telemetryapi: the listener answered %d", response.StatusCode)
		}
		return keep, nil
	}
	return false, fmt.Errorf("telemetryapi: the listener answered %d times and not once for good", informalMax)
}
