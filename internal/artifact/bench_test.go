package artifact

import (
	"archive/zip"
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
)

// BenchmarkPutZip stores archives that were never seen: a hello world, a usual
// deployment with its dependencies, and one at the bounds.
func BenchmarkPutZip(b *testing.B) {
	for _, size := range []struct{ files, bytes int }{{1, 200}, {2_000, 10 << 10}, {20_000, 12 << 10}} {
		b.Run(fmt.Sprintf("%dx%d", size.files, size.bytes), func(b *testing.B) {
			body := make([]byte, size.bytes)
			for i := range body {
				body[i] = "abcdefghijklmnopqrstuvwxyz \n0123"[rand.IntN(4)*rand.IntN(8)]
			}
			s := openTest(b, Options{ZipBytesMax: 1 << 30})
			for b.Loop() {
				b.StopTimer()
				archive := largeZip(b, size.files, body)
				b.StartTimer()
				z, err := s.PutZip(context.Background(), bytes.NewReader(archive))
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(z.Bytes)/(1<<20), "MiB-zipped")
				b.ReportMetric(float64(z.UnzippedBytes)/(1<<20), "MiB-unzipped")
				b.StopTimer()
				s.Remove(z.Digest)
				b.StartTimer()
			}
		})
	}
}

func largeZip(t testing.TB, files int, body []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for i := range files {
		f, err := w.Create(fmt.Sprintf("packages/%d/module%d.py", i/50, i))
		if err != nil {
			t.Fatal(err)
		}
		f.Write(body)
	}
	w.SetComment(fmt.Sprint(rand.Uint64()))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
