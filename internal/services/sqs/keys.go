package sqs

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"

	"github.com/lambdad/lambdad/internal/services/sqs/flow"
	"github.com/lambdad/lambdad/internal/store"
)

// Where what lies in the store. A message is three records: its place (read when a
// queue is opened), its content in parts (read when it is delivered), and what is
// known of its deliveries.
const (
	queuePrefix = "sqs/queue/" // ACCOUNT/REGION/NAME -> queueRecord
	gonePrefix  = "sqs/gone/"  // ID -> goneRecord: messages still to be removed
	movePrefix  = "sqs/move/"  // HANDLE -> moveRecord
	secretKey   = "sqs/secret" // of receipts and contents
)

func recordKey(n Name) string {
	return queuePrefix + string(n.Account) + "/" + string(n.Region) + "/" + n.Queue
}

func placePrefix(id string) string    { return "sqs/i/" + id + "/" }
func contentPrefix(id string) string  { return "sqs/b/" + id + "/" }
func deliveryPrefix(id string) string { return "sqs/r/" + id + "/" }
func dedupPrefix(id string) string    { return "sqs/u/" + id + "/" }

func hex16(n uint64) string { return fmt.Sprintf("%016x", n) }

func placeKey(id string, s flow.Sequence) string { return placePrefix(id) + hex16(uint64(s)) }

func contentKey(id string, s flow.Sequence, part int) string {
	return contentPrefix(id) + hex16(uint64(s)) + "/" + strconv.Itoa(part)
}

func deliveryKey(id string, s flow.Sequence) string { return deliveryPrefix(id) + hex16(uint64(s)) }

func dedupKey(id string, sent flow.Instant, s flow.Sequence) string {
	return dedupPrefix(id) + hex16(uint64(sent)) + "/" + hex16(uint64(s))
}

// sequenceOf reads a key of placePrefix or deliveryPrefix.
func sequenceOf(key string) (flow.Sequence, bool) {
	if len(key) < 16 {
		return 0, false
	}
	n, err := strconv.ParseUint(key[len(key)-16:], 16, 64)
	return flow.Sequence(n), err == nil
}

// secretBytes are a key for receipts and one for contents.
const secretBytes = 64

// loadKeys makes the store's secret on first use.
func (s *Service) loadKeys(ctx context.Context) error {
	r, err := s.records.Get(ctx, secretKey)
	if errors.Is(err, store.ErrNotFound) {
		secret := make([]byte, secretBytes)
		rand.Read(secret) // never fails: crypto/rand aborts the process instead
		_, err = s.records.Commit(ctx, store.Write{Key: secretKey, Value: secret, If: store.IfAbsent()})
		if err != nil && !errors.Is(err, store.ErrConflict) {
			return fmt.Errorf("sqs: make the secret: %w", err)
		}
		r, err = s.records.Get(ctx, secretKey)
	}
	if err != nil {
		return fmt.Errorf("sqs: read the secret: %w", err)
	}
	return s.useSecret(r.Value)
}

func (s *Service) useSecret(secret []byte) error {
	if len(secret) != secretBytes {
		return fmt.Errorf("sqs: the secret has %d bytes", len(secret))
	}
	s.receipts = receiptKey(secret[:32])
	s.vault = vault(secret[32:])
	return nil
}
