package shape

import (
	"sort"
	"time"
)

// The Put functions write one value of a Go type; generated code passes them to
// EncodeList and EncodeMap for the elements.

func PutString(e Encoder, m *Member, v *string)   { e.String(m, *v) }
func PutBool(e Encoder, m *Member, v *bool)       { e.Bool(m, *v) }
func PutInt32(e Encoder, m *Member, v *int32)     { e.Int(m, int64(*v)) }
func PutInt64(e Encoder, m *Member, v *int64)     { e.Int(m, *v) }
func PutFloat32(e Encoder, m *Member, v *float32) { e.Float(m, float64(*v)) }
func PutFloat64(e Encoder, m *Member, v *float64) { e.Float(m, *v) }
func PutTime(e Encoder, m *Member, v *time.Time)  { e.Time(m, *v) }
func PutBlob(e Encoder, m *Member, v *[]byte)     { e.Blob(m, *v) }
func PutDocument(e Encoder, m *Member, v *any)    { e.Document(m, *v) }

// PutStructure writes a structure held by value.
func PutStructure[T any, P interface {
	*T
	Structure
}](e Encoder, m *Member, v *T) {
	e.Structure(m, P(v))
}

// EncodeList writes a list, each element with put.
func EncodeList[T any](e Encoder, m *Member, list []T, put func(Encoder, *Member, *T)) {
	e.List(m, len(list), func(e Encoder, i int) { put(e, m.Element, &list[i]) })
}

// EncodeMap writes a map in the order of its keys, so that equal values give
// equal bytes.
func EncodeMap[T any](e Encoder, m *Member, values map[string]T, put func(Encoder, *Member, *T)) {
	keys := make([]string, 0, len(values))
	for k := range values {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	e.Map(m, keys, func(e Encoder, key string) {
		v := values[key]
		put(e, m.Value, &v)
	})
}
