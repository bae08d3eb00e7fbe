package egress

import (
	"os"
	"testing"
)

// TestClaim: two nodes of one host have no link yet, and do not take the same addresses.
func TestClaim(t *testing.T) {
	block := uint32(os.Getpid())
	first, err := claim(block)
	if err != nil {
		t.Fatal(err)
	}
	if second, err := claim(block); err == nil {
		t.Error("a block was taken twice")
		second.Close()
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := claim(block)
	if err != nil {
		t.Fatalf("a block that was given up: %v", err)
	}
	again.Close()
}
