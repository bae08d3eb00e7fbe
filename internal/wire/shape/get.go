package shape

import (
	"io"
	"time"
)

// The Get functions read one value into a Go type; generated code uses them for
// members (behind a pointer, see Member) and passes them to DecodeList and
// DecodeMap for the elements.

func GetString(d Decoder, m *Member, v *string) (err error) { *v, err = d.String(m); return err }
func GetBool(d Decoder, m *Member, v *bool) (err error)     { *v, err = d.Bool(m); return err }
func GetInt64(d Decoder, m *Member, v *int64) (err error)   { *v, err = d.Int(m); return err }
func GetFloat64(d Decoder, m *Member, v *float64) (err error) {
	*v, err = d.Float(m)
	return err
}
func GetTime(d Decoder, m *Member, v *time.Time) (err error) { *v, err = d.Time(m); return err }
func GetBlob(d Decoder, m *Member, v *[]byte) (err error)    { *v, err = d.Blob(m); return err }

// GetInt32 reads an integer; the decoder has checked its range.
func GetInt32(d Decoder, m *Member, v *int32) error {
	n, err := d.Int(m)
	*v = int32(n)
	return err
}

// GetFloat32 reads a float; precision beyond 32 bits is lost, as AWS loses it.
func GetFloat32(d Decoder, m *Member, v *float32) error {
	f, err := d.Float(m)
	*v = float32(f)
	return err
}

// GetStructure reads a structure held by value.
func GetStructure[T any, P interface {
	*T
	Structure
}](d Decoder, m *Member, v *T) error {
	return d.Structure(m, P(v))
}

// DecodeMember reads a member held behind a pointer.
func DecodeMember[T any](d Decoder, m *Member, v **T, get func(Decoder, *Member, *T) error) error {
	value := new(T)
	if err := get(d, m, value); err != nil {
		return err
	}
	*v = value
	return nil
}

// DecodeList reads a list; a list that is present and empty becomes empty and
// not nil.
func DecodeList[T any](d Decoder, m *Member, list *[]T, get func(Decoder, *Member, *T) error) error {
	out := []T{}
	err := d.List(m, func(d Decoder) error {
		var v T
		if err := get(d, m.Element, &v); err != nil {
			return err
		}
		out = append(out, v)
		return nil
	})
	*list = out
	return err
}

// DecodeMap reads a map; the last of equal keys wins.
func DecodeMap[T any](d Decoder, m *Member, values *map[string]T, get func(Decoder, *Member, *T) error) error {
	out := map[string]T{}
	err := d.Map(m, func(d Decoder, key string) error {
		var v T
		if err := get(d, m.Value, &v); err != nil {
			return err
		}
		out[key] = v
		return nil
	})
	*values = out
	return err
}

// GetStream reads a streaming blob.
func GetStream(d Decoder, m *Member, v *io.ReadCloser) (err error) { *v, err = d.Stream(m); return err }

// GetDocument reads any JSON value.
func GetDocument(d Decoder, m *Member, v *any) (err error) { *v, err = d.Document(m); return err }
