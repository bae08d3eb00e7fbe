package store

import (
	"fmt"
	"time"
)

// CheckWrites reports what is wrong with a commit before its conditions are
// looked at: ErrTooLarge, or a mistake of the caller. Every implementation
// calls it first.
func CheckWrites(writes []Write) error {
	if len(writes) == 0 {
		return fmt.Errorf("store: commit without writes")
	}
	if len(writes) > CommitWritesMax {
		return fmt.Errorf("commit of %d writes: %w", len(writes), ErrTooLarge)
	}
	for i := range writes {
		w := &writes[i]
		if w.Kind > WriteErase {
			return fmt.Errorf("store: write kind %d is not known", w.Kind)
		}
		if w.Kind == WriteErase && w.If != Unconditional() {
			return fmt.Errorf("store: erasing %q has a condition", w.Key)
		}
		if w.Key == "" {
			return fmt.Errorf("store: write without a key")
		}
		if len(w.Key) > KeyBytesMax {
			return fmt.Errorf("key of %d bytes: %w", len(w.Key), ErrTooLarge)
		}
		if len(w.Value) > ValueBytesMax {
			return fmt.Errorf("value of %q, %d bytes: %w", w.Key, len(w.Value), ErrTooLarge)
		}
	}
	return checkDistinct(writes)
}

func checkDistinct(writes []Write) error {
	if len(writes) == 1 {
		return nil
	}
	seen := make(map[string]struct{}, len(writes))
	for i := range writes {
		if _, twice := seen[writes[i].Key]; twice {
			return fmt.Errorf("store: two writes of %q in one commit", writes[i].Key)
		}
		seen[writes[i].Key] = struct{}{}
	}
	return nil
}

// CheckMessages does for Enqueue what CheckWrites does for Commit.
func CheckMessages(queue string, messages []Message) error {
	if err := CheckQueue(queue); err != nil {
		return err
	}
	if len(messages) > CommitWritesMax {
		return fmt.Errorf("%d messages at once: %w", len(messages), ErrTooLarge)
	}
	for i := range messages {
		if len(messages[i].Body) > MessageBytesMax {
			return fmt.Errorf("message of %d bytes: %w", len(messages[i].Body), ErrTooLarge)
		}
	}
	return nil
}

// CheckQueue reports what is wrong with a queue's name.
func CheckQueue(queue string) error {
	if queue == "" {
		return fmt.Errorf("store: queue without a name")
	}
	if len(queue) > KeyBytesMax {
		return fmt.Errorf("queue name of %d bytes: %w", len(queue), ErrTooLarge)
	}
	return nil
}

// CheckLease reports what is wrong with a lease's duration: one that is over
// at once would be no lease.
func CheckLease(duration time.Duration) error {
	if duration <= 0 {
		return fmt.Errorf("store: lease of %v", duration)
	}
	return nil
}
