package runtimeapi

import (
	"bytes"
	"context"
	"io"
	"net"
	"strconv"
	"sync"
	"testing"

	"github.com/lambdad/lambdad/internal/aws"
)

// echo is the leanest runtime: one connection, two requests an invocation.
func echo(addr string, response []byte) error {
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer nc.Close()
	buf := make([]byte, 64<<10)
	next := []byte("GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n")
	var post []byte
	for {
		if _, err := nc.Write(next); err != nil {
			return err
		}
		n, err := nc.Read(buf)
		if err != nil {
			return err
		}
		head, after, _ := bytes.Cut(buf[:n], []byte("\r\n\r\n"))
		_, id, _ := bytes.Cut(head, []byte("Request-Id: "))
		id, _, _ = bytes.Cut(id, []byte("\r"))
		_, length, _ := bytes.Cut(head, []byte("Content-Length: "))
		length, _, _ = bytes.Cut(length, []byte("\r"))
		rest, _ := strconv.Atoi(string(length))
		if rest -= len(after); rest > 0 {
			if _, err := io.CopyN(io.Discard, nc, int64(rest)); err != nil {
				return err
			}
		}
		post = append(post[:0], "POST /2018-06-01/runtime/invocation/"...)
		post = append(append(post, id...), "/response HTTP/1.1\r\nHost: x\r\nContent-Length: "...)
		post = append(strconv.AppendInt(post, int64(len(response)), 10), "\r\n\r\n"...)
		post = append(post, response...)
		if _, err := nc.Write(post); err != nil {
			return err
		}
		if _, err := nc.Read(buf); err != nil {
			return err
		}
	}
}

func BenchmarkInvoke(b *testing.B) {
	for _, size := range []int{100, 100_000, 6_000_000} {
		for _, sessions := range []int{1, 4} {
			b.Run("bytes="+strconv.Itoa(size)+"/sessions="+strconv.Itoa(sessions), func(b *testing.B) {
				payload := bytes.Repeat([]byte("x"), size)
				all := make([]*Session, sessions)
				for i := range all {
					s, addr := serve(b)
					go echo(addr, payload)
					if err := s.Ready(context.Background()); err != nil {
						b.Fatal(err)
					}
					all[i] = s
				}
				b.ReportAllocs()
				b.ResetTimer()
				var wg sync.WaitGroup
				for _, s := range all {
					wg.Go(func() {
						ctx, cancel := context.WithCancel(context.Background())
						defer cancel()
						inv := invocation(string(aws.NewRequestID()), "")
						inv.Payload = payload
						for range b.N / sessions {
							if _, err := s.Invoke(ctx, inv); err != nil {
								b.Error(err)
								return
							}
						}
					})
				}
				wg.Wait()
			})
		}
	}
}
