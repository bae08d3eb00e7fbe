package lambda

import (
	"context"

	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/record"
)

// checkIsolation refuses the tag that chooses a function's isolation where it names nothing,
// less than the account's floor, or what this host has not: better than a function that no
// invoke could run.
func (c *Control) checkIsolation(ctx context.Context, account aws.AccountID, tags map[string]string) error {
	if _, tagged := tags[record.IsolationTag]; !tagged || c.isolation == nil {
		return nil
	}
	if err := c.isolation.Allow(ctx, account, tags); err != nil {
		return invalid("The tag %s is refused: %s.", record.IsolationTag, err)
	}
	return nil
}

// checkMemory refuses more memory than all functions together may have here: its first
// environment would never start.
func (c *Control) checkMemory(memorySize *int32) error {
	if most := c.limits.MemoryMiB; most > 0 && memorySize != nil && int(*memorySize) > most {
		return invalid("'MemorySize' value %d is more than this lambdad has for all functions together, which is %d MB. Use less, or start lambdad with a larger --memory.", *memorySize, most)
	}
	return nil
}
