// Package lineage owns the part of a trace header that tells which functions a chain of
// requests went through, by which loops are found. It must never decide what becomes of a
// loop: that is the frontend's, which knows the function's configuration.
package lineage

import (
	"hash/fnv"
	"slices"
	"strconv"
	"strings"

	"github.com/lambdad/lambdad/internal/record"
)

const (
	// CallsMax is how often a function runs in one chain of requests. Source: Lambda developer
	// guide, "Use Lambda recursive loop detection to prevent infinite loops": about 16 times.
	CallsMax = 16
	// entriesMax bounds the functions that a header remembers; a loop through more of them is
	// not found.
	entriesMax = 32
	// headerBytesMax bounds what is searched for a lineage.
	headerBytesMax = 1024
	// hashBytes is the length of a function's name in a lineage.
	hashBytes = 8

	member = "Lineage="
)

// entry is one function of a chain: how often it was called again after its first time.
type entry struct {
	hash  string
	again int
}

// Next gives the header that a call of a function carries, and how often the chain has called
// the function with this call. The header is the caller's, which may have no lineage.
//
// The form is AWS X-Ray's: "Lineage=a87bd80c:1|68fd508a:5", functions by a hash. Some SDKs
// percent-encode the bar when they pass it on.
func Next(header string, id record.FunctionID) (next string, calls int) {
	rest, entries := split(header)
	hash := hashOf(id)
	i := slices.IndexFunc(entries, func(e entry) bool { return e.hash == hash })
	if i < 0 {
		if len(entries) == entriesMax {
			entries = slices.Delete(entries, forget(entries), forget(entries)+1)
		}
		entries = append(entries, entry{hash: hash})
		i = len(entries) - 1
	} else {
		entries[i].again = min(entries[i].again+1, CallsMax)
	}
	return join(rest, entries), entries[i].again + 1
}

// Deepest is the header of those given whose chain has called one function most often: what an
// invoke carries on that several messages caused.
func Deepest(headers []string) string {
	deepest, most := "", -1
	for _, header := range headers {
		if header == "" {
			continue
		}
		again := 0
		_, entries := split(header)
		for _, e := range entries {
			again = max(again, e.again)
		}
		if again > most {
			deepest, most = header, again
		}
	}
	return deepest
}

// forget chooses the entry that is least likely in a loop: the oldest of those called least.
func forget(entries []entry) int {
	least := 0
	for i, e := range entries {
		if e.again < entries[least].again {
			least = i
		}
	}
	return least
}

// split takes the lineage out of a header. What cannot be read as one is dropped.
func split(header string) (rest string, entries []entry) {
	if len(header) > headerBytesMax {
		return header, nil
	}
	var others []string
	for part := range strings.SplitSeq(header, ";") {
		text, ok := strings.CutPrefix(strings.TrimSpace(part), member)
		if !ok {
			others = append(others, part)
			continue
		}
		if entries == nil {
			entries = parse(text)
		}
	}
	return strings.Join(others, ";"), entries
}

func parse(text string) []entry {
	text = strings.ReplaceAll(strings.ReplaceAll(text, "%7C", "|"), "%7c", "|")
	var entries []entry
	for one := range strings.SplitSeq(text, "|") {
		if len(entries) == entriesMax {
			break
		}
		e, ok := parseEntry(one)
		if ok && !slices.ContainsFunc(entries, func(o entry) bool { return o.hash == e.hash }) {
			entries = append(entries, e)
		}
	}
	return entries
}

// parseEntry reads HASH:AGAIN, and the later form REQUESTS:HASH:AGAIN, which AWS writes today
// of one function.
func parseEntry(text string) (entry, bool) {
	parts := strings.Split(text, ":")
	if len(parts) == 3 {
		parts = parts[1:]
	}
	if len(parts) != 2 || len(parts[0]) != hashBytes || strings.Trim(parts[0], "0123456789abcdef") != "" {
		return entry{}, false
	}
	again, err := strconv.ParseUint(parts[1], 10, 16)
	if err != nil {
		return entry{}, false
	}
	return entry{parts[0], int(min(again, CallsMax))}, true
}

func join(rest string, entries []entry) string {
	var b strings.Builder
	b.WriteString(rest)
	for i, e := range entries {
		switch {
		case i > 0:
			b.WriteByte('|')
		case rest != "":
			b.WriteString(";" + member)
		default:
			b.WriteString(member)
		}
		b.WriteString(e.hash + ":" + strconv.Itoa(e.again))
	}
	return b.String()
}

// hashOf is the same of all versions and aliases of a function.
func hashOf(id record.FunctionID) string {
	h := fnv.New32a()
	h.Write([]byte(id.ARN()))
	text := strconv.FormatUint(uint64(h.Sum32()), 16)
	return strings.Repeat("0", hashBytes-len(text)) + text
}
