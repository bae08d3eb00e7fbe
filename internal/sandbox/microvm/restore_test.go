package microvm_test

import (
	"context"
	"io"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/lambdad/lambdad/internal/sandbox"
	"github.com/lambdad/lambdad/internal/sandbox/sandboxtest"
)

// restoresPackage is a function that waits to be copied.
const restoresPackage = "github.com/lambdad/lambdad/test/bench/testdata/restored"

// TestRestores makes many copies of one machine, several at a time: none may hang.
// LAMBDAD_TEST_MICROVM=1 makes it 200.
func TestRestores(t *testing.T) {
	count, atOnce := 24, 4
	if os.Getenv("LAMBDAD_TEST_MICROVM") != "" {
		count = 200
	}
	needQEMU(t)
	d := open(t, kernelDir(t), sandboxtest.Build(t, guestPackage), t.TempDir())
	defer d.Close()
	h := sandboxtest.NewHarness(t, d)
	spec := h.StartSpec()
	spec.Argv, spec.Template = []string{"/usr/local/bin/program"}, true
	h.Program = sandboxtest.Build(t, restoresPackage)
	source, err := d.Park(t.Context(), h.ParkSpec())
	if err != nil {
		t.Fatal(err)
	}
	p, err := source.Start(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	go io.Copy(io.Discard, p.Output())
	c, err := source.RuntimeAPI().Accept()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1024)); err != nil {
		t.Fatal(err)
	}
	template, err := d.Template(t.Context(), source)
	if err != nil {
		t.Fatal(err)
	}
	defer template.Close()
	var wait sync.WaitGroup
	work := make(chan int)
	for range atOnce {
		wait.Go(func() {
			for i := range work {
				begin := time.Now()
				if err := restore(t, h, template, spec); err != nil {
					t.Errorf("restore %d, after %s: %v", i, time.Since(begin), err)
				}
			}
		})
	}
	for i := range count {
		work <- i
	}
	close(work)
	wait.Wait()
}

// restore makes a copy and sees that its program asks.
func restore(t *testing.T, h *sandboxtest.Harness, template sandbox.Template, spec sandbox.StartSpec) error {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	box, err := template.Park(ctx, h.ID())
	if err != nil {
		return err
	}
	defer box.Destroy(context.Background())
	p, err := box.Start(ctx, spec)
	if err != nil {
		return err
	}
	go io.Copy(io.Discard, p.Output())
	asked := make(chan error, 1)
	go func() {
		c, err := box.RuntimeAPI().Accept()
		if err == nil {
			_, err = c.Read(make([]byte, 1024))
		}
		asked <- err
	}()
	select {
	case err := <-asked:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}
