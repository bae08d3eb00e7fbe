package sqs

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	api "github.com/lambdad/lambdad/internal/api/sqs"
	"github.com/lambdad/lambdad/internal/wire"
)

const (
	delayMax       = 900 // seconds
	attributesMax  = 10
	attributeRunes = 256
	notForThisType = "The request include parameter that is not valid for this queue type."
)

// outgoing checks a message for a queue and reads it.
func (q *queue) outgoing(call *wire.Call, e *api.SendMessageBatchRequestEntry) (out Outgoing, err error) {
	out = Outgoing{Body: value(e.MessageBody), Sender: sender(call), Group: value(e.MessageGroupId), DedupID: value(e.MessageDeduplicationId)}
	if out.Body == "" {
		return out, missing("MessageBody")
	}
	if !validText(out.Body) {
		return out, api.NewInvalidMessageContents("Invalid characters found. Valid unicode characters are #x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF")
	}
	if out.Attributes, err = readAttributes(e.MessageAttributes); err != nil {
		return out, err
	}
	if out.Trace, err = readTrace(e.MessageSystemAttributes); err != nil {
		return out, err
	}
	if out.Trace == "" && validTrace(call.TraceID) {
		out.Trace, out.tracedByHeader = call.TraceID, true
	}
	if limit := q.settings.Load().sizeMax; out.size() > limit {
		return out, invalidValue("One or more parameters are invalid. Reason: Message must be shorter than %d bytes.", limit)
	}
	if err := q.checkGroup(e, &out); err != nil {
		return out, err
	}
	if d := e.DelaySeconds; d != nil {
		switch n := strconv.Itoa(int(*d)); {
		case *d < 0 || *d > delayMax:
			return out, invalidParameter(n, "DelaySeconds", "DelaySeconds must be >= 0 and <= 900.")
		case q.name.FIFO() && *d > 0:
			return out, invalidParameter(n, "DelaySeconds", notForThisType)
		case !q.name.FIFO(): // in a FIFO queue none is the queue's own (recorded)
			out.Delay = wire.Ptr(time.Duration(*d) * time.Second)
		}
	}
	return out, nil
}

// admit checks a message that a room of this node sends, as outgoing does those of callers.
func (q *queue) admit(m Outgoing) (Outgoing, error) {
	set := q.settings.Load()
	switch {
	case m.Body == "":
		return m, missing("MessageBody")
	case !validText(m.Body):
		return m, api.NewInvalidMessageContents("Invalid characters found.")
	case m.size() > set.sizeMax:
		return m, invalidValue("One or more parameters are invalid. Reason: Message must be shorter than %d bytes.", set.sizeMax)
	case q.name.FIFO() && m.Group == "":
		return m, missing("MessageGroupId")
	case q.name.FIFO() && m.DedupID == "" && !set.contentDedup:
		return m, invalidValue("The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly")
	case q.name.FIFO() && m.DedupID == "":
		m.DedupID = bodyID(m.Body)
	}
	return m, nil
}

// bodyID is the deduplication id that content gives.
func bodyID(body string) string {
	sum := sha256.Sum256([]byte(body))
	return hex.EncodeToString(sum[:])
}

// checkGroup checks what orders a FIFO queue, and fills in what content gives.
func (q *queue) checkGroup(e *api.SendMessageBatchRequestEntry, out *Outgoing) error {
	for name, given := range map[string]*string{"MessageDeduplicationId": e.MessageDeduplicationId, "MessageGroupId": e.MessageGroupId} {
		if given == nil {
			continue
		}
		if !q.name.FIFO() && name == "MessageDeduplicationId" {
			return invalidParameter(*given, name, notForThisType)
		}
		if !validToken(*given) {
			return invalidParameter(*given, name, name+" can only include alphanumeric and punctuation characters. 1 to 128 in length.")
		}
	}
	if !q.name.FIFO() {
		return nil
	}
	if e.MessageGroupId == nil {
		return invalidValue("The request must contain the parameter MessageGroupId.")
	}
	if e.MessageDeduplicationId == nil {
		if !q.settings.Load().contentDedup {
			return invalidValue("The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly")
		}
		out.DedupID = bodyID(out.Body)
	}
	return nil
}

// size is what counts for the limit: the body and the attributes' names, types and values.
func (o *Outgoing) size() int {
	n := len(o.Body)
	for name, a := range o.Attributes {
		n += len(name) + len(a.Type) + len(a.Text) + len(a.Binary)
	}
	return n
}

// validText has the characters that XML has (API reference, SendMessage).
func validText(s string) bool {
	return utf8.ValidString(s) && strings.IndexFunc(s, func(r rune) bool {
		return r < 0x20 && r != '\t' && r != '\n' && r != '\r' || r == 0xfffe || r == 0xffff
	}) < 0
}

const tokenMax = 128

// validToken is the form of group and deduplication ids: visible ASCII.
func validToken(s string) bool {
	return len(s) >= 1 && len(s) <= tokenMax && strings.IndexFunc(s, func(r rune) bool { return r < '!' || r > '~' }) < 0
}

// traceBytesMax bounds the header that a sender's SDK carries into a message.
const traceBytesMax = 1024

// validTrace tells a request's X-Amzn-Trace-Id that a message can keep: by it a loop through
// functions and queues is found. Source: SQS developer guide, "Sending trace headers through
// Amazon SQS".
func validTrace(s string) bool {
	return len(s) <= traceBytesMax && strings.Contains(s, "Root=") && strings.IndexFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) < 0
}

func readTrace(system map[string]api.MessageSystemAttributeValue) (string, error) {
	for _, name := range sortedKeys(system) {
		v := system[name]
		if name != traceHeader {
			return "", invalidValue("Message system attribute name '%s' is invalid.", name)
		}
		if value(v.DataType) != "String" || value(v.StringValue) == "" {
			return "", invalidValue("Message (system) attribute '%s' must contain a non-empty value of type 'String'.", name)
		}
		return *v.StringValue, nil
	}
	return "", nil
}

func readAttributes(in map[string]api.MessageAttributeValue) (map[string]Attribute, error) {
	if len(in) == 0 {
		return nil, nil
	}
	if len(in) > attributesMax {
		return nil, invalidValue("Number of message attributes [%d] exceeds the allowed maximum [%d].", len(in), attributesMax)
	}
	out := make(map[string]Attribute, len(in))
	for _, name := range sortedKeys(in) {
		a, err := readAttribute(name, in[name])
		if err != nil {
			return nil, err
		}
		out[name] = a
	}
	return out, nil
}

// Decimals of up to 38 digits between 10^-128 and 10^126 (developer guide, "Message
// attribute data types").
var decimal = regexp.MustCompile(`^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?$`)

func readAttribute(name string, v api.MessageAttributeValue) (a Attribute, err error) {
	if err := checkAttributeName(name); err != nil {
		return a, err
	}
	a.Type = value(v.DataType)
	kind, _, _ := strings.Cut(a.Type, ".")
	if len(v.StringListValues) > 0 || len(v.BinaryListValues) > 0 {
		return a, invalidValue("Message attribute list values in SendMessage operation are not supported.")
	}
	if a.Type == "" {
		return a, invalidValue("The message attribute '%s' must contain a non-empty message attribute type.", name)
	}
	if utf8.RuneCountInString(a.Type) > attributeRunes || kind != "String" && kind != "Number" && kind != "Binary" {
		return a, invalidValue("The type of message (user) attribute '%s' is invalid. You must use only the following supported type prefixes: Binary, Number, String.", name)
	}
	a.Text, a.Binary = value(v.StringValue), v.BinaryValue
	empty := a.Text == ""
	if kind == "Binary" {
		empty, a.Text = len(a.Binary) == 0, ""
	} else {
		a.Binary = nil
	}
	switch {
	case empty:
		return a, invalidValue("Message (user) attribute '%s' must contain a non-empty value of type '%s'.", name, valueType(kind))
	case kind != "Binary" && !validText(a.Text):
		return a, invalidValue("Message (user) attribute '%s' contains invalid characters.", name)
	case kind == "Number" && !decimal.MatchString(a.Text):
		return a, invalidValue("Can't cast the value of message (user) attribute '%s' to a number.", name)
	}
	return a, nil
}

// valueType is the kind of value that a type has: numbers are sent as strings.
func valueType(kind string) string {
	if kind == "Binary" {
		return kind
	}
	return "String"
}

func checkAttributeName(name string) error {
	lower := strings.ToLower(name)
	switch {
	case name == "" || utf8.RuneCountInString(name) > attributeRunes:
		return invalidValue("Message (user) attribute name must be between 1 and 256 characters in length.")
	case strings.HasPrefix(lower, "aws.") || strings.HasPrefix(lower, "amazon."):
		return invalidValue("You can't use message attribute names beginning with 'AWS.' or 'Amazon.'. These strings are reserved for internal use.")
	case strings.HasPrefix(name, ".") || strings.HasSuffix(name, ".") || strings.Contains(name, ".."):
		return invalidValue("Message (user) attribute name '%s' cannot start or end with a period, nor have periods in succession.", name)
	}
	for _, r := range name {
		// Letters of other alphabets pass on AWS, which documents otherwise.
		if !(unicode.IsLetter(r) || r >= '0' && r <= '9' || r == '_' || r == '-' || r == '.') {
			return invalidValue("Invalid non-alphanumeric character '#x%X' was found in the message attribute name. Can only include alphanumeric characters, hyphens, underscores, or dots.", r)
		}
	}
	return nil
}
