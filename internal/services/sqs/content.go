package sqs

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/lambdad/lambdad/internal/services/sqs/flow"
)

// Attribute is a message attribute. Binary types have Binary, the others Text.
type Attribute struct {
	Type   string
	Text   string `json:",omitempty"`
	Binary []byte `json:",omitempty"`
}

// content is what a message carries.
type content struct {
	MessageID  string
	SenderID   string
	Group      string               `json:",omitempty"`
	DedupID    string               `json:",omitempty"`
	Trace      string               `json:",omitempty"` // AWSTraceHeader
	DeadFrom   string               `json:",omitempty"` // ARN of the queue whose dead letter it is
	Attributes map[string]Attribute `json:",omitempty"`
	Body       string               `json:"-"`
}

// partBytes is the most that one record of a content has: well below the store's bound.
const partBytes = 512 << 10

var errCorrupt = errors.New("sqs: stored bytes make no sense")

// encode gives the parts of a content as they rest.
func (c *content) encode(keys vault, how sealing, queueID string) ([][]byte, error) {
	meta, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("encode message: %w", err)
	}
	plain := make([]byte, 0, 16+len(meta)+len(c.Body))
	plain = binary.AppendUvarint(plain, uint64(len(meta)))
	plain = append(plain, meta...)
	plain = append(plain, c.Body...)
	all, err := keys.close(plain, how, queueID)
	if err != nil {
		return nil, fmt.Errorf("encode message: %w", err)
	}
	var parts [][]byte
	for len(all) > partBytes {
		parts, all = append(parts, all[:partBytes]), all[partBytes:]
	}
	return append(parts, all), nil
}

func decodeContent(all []byte, keys vault, queueID string) (*content, error) {
	plain, err := keys.open(all, queueID)
	if err != nil {
		return nil, err
	}
	n, size := binary.Uvarint(plain)
	if size <= 0 || n > uint64(len(plain)-size) {
		return nil, errCorrupt
	}
	c := new(content)
	if err := json.Unmarshal(plain[size:size+int(n)], c); err != nil {
		return nil, fmt.Errorf("decode message: %w", err)
	}
	c.Body = string(plain[size+int(n):])
	return c, nil
}

// encodePlace is a message's place in the queue as it rests.
func encodePlace(d flow.Draft) []byte {
	b := binary.AppendUvarint(nil, uint64(d.Sent))
	b = binary.AppendUvarint(b, uint64(d.Due))
	b = binary.AppendUvarint(b, uint64(d.Parts))
	return append(b, d.Group...)
}

func decodePlace(b []byte) (d flow.Draft, err error) {
	for _, field := range []func(uint64){
		func(n uint64) { d.Sent = flow.Instant(n) }, func(n uint64) { d.Due = flow.Instant(n) }, func(n uint64) { d.Parts = int(n) },
	} {
		n, size := binary.Uvarint(b)
		if size <= 0 {
			return d, errCorrupt
		}
		field(n)
		b = b[size:]
	}
	d.Group = string(b)
	return d, nil
}

// delivery is what is remembered of a message's deliveries.
type delivery struct {
	receives       int
	first, visible flow.Instant
}

func (d delivery) encode() []byte {
	b := binary.AppendUvarint(nil, uint64(d.receives))
	b = binary.AppendUvarint(b, uint64(d.first))
	return binary.AppendUvarint(b, uint64(d.visible))
}

func decodeDelivery(b []byte) (d delivery, err error) {
	var n [3]uint64
	for i := range n {
		var size int
		if n[i], size = binary.Uvarint(b); size <= 0 {
			return d, errCorrupt
		}
		b = b[size:]
	}
	return delivery{receives: int(n[0]), first: flow.Instant(n[1]), visible: flow.Instant(n[2])}, nil
}
