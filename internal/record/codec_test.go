package record

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/lambdad/lambdad/internal/store"
)

// filled sets every field of a struct to something that is not zero, so that a field
// that the codec forgets shows.
func filled(t *testing.T) *Function {
	f := &Function{}
	fill(t, reflect.ValueOf(f).Elem())
	f.Version = "12"
	return f
}

func fill(t *testing.T, v reflect.Value) {
	for i := range v.NumField() {
		field := v.Field(i)
		switch field.Interface().(type) {
		case time.Time:
			field.Set(reflect.ValueOf(time.Date(2025, 11, 24, 23, 8, 41, 123e6, time.UTC)))
			continue
		case map[string]string:
			field.Set(reflect.ValueOf(map[string]string{"a": "b"}))
			continue
		}
		switch field.Kind() {
		case reflect.String:
			field.SetString("x" + v.Type().Field(i).Name)
		case reflect.Int, reflect.Int64:
			field.SetInt(int64(i + 1))
		case reflect.Uint64:
			field.SetUint(uint64(i + 1))
		case reflect.Bool:
			field.SetBool(true)
		case reflect.Struct:
			fill(t, field)
		case reflect.Slice:
			one := reflect.New(field.Type().Elem()).Elem()
			switch one.Kind() {
			case reflect.String:
				one.SetString("x" + v.Type().Field(i).Name)
			case reflect.Uint8:
				one.SetUint(uint64(i + 1))
			default:
				fill(t, one)
			}
			field.Set(reflect.Append(field, one))
		case reflect.Pointer:
			if field.Type().Elem() == v.Type() {
				continue // a second of its kind inside
			}
			field.Set(reflect.New(field.Type().Elem()))
			fill(t, field.Elem())
		default:
			t.Fatalf("the test cannot fill %s", v.Type().Field(i).Name)
		}
	}
}

func TestCodecKeepsEveryField(t *testing.T) {
	want := filled(t)
	b, err := EncodeFunction(want)
	if err != nil {
		t.Fatal(err)
	}
	want.Environment = nil // sealed: the plain one is not written
	got, err := DecodeFunction(b)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}

func TestCodecTellsEmptyEnvironmentFromNone(t *testing.T) {
	for _, env := range []map[string]string{nil, {}} {
		b, err := EncodeFunction(&Function{Environment: env})
		if err != nil {
			t.Fatal(err)
		}
		f, err := DecodeFunction(b)
		if err != nil || (f.Environment == nil) != (env == nil) {
			t.Errorf("environment %#v came back as %#v, %v", env, f.Environment, err)
		}
	}
}

func TestDecodeToleratesAndRefuses(t *testing.T) {
	if f, err := DecodeFunction([]byte(`{"f":1,"n":"x","ver":"1","somethingNew":{"a":1}}`)); err != nil || f.ID.Name != "x" {
		t.Errorf("unknown field: %v, %v", f, err)
	}
	for _, bad := range []string{``, `null`, `[]`, `{}`, `{"f":99}`, `{"f":1,"n":3}`} {
		if _, err := DecodeFunction([]byte(bad)); !errors.Is(err, ErrForm) {
			t.Errorf("%q: got %v, want ErrForm", bad, err)
		}
	}
}

func TestKeys(t *testing.T) {
	id := FunctionID{"111111111111", "us-east-1", "f"}
	last := ""
	for _, version := range []string{Latest, "1", "2", "10", "9999999999"} {
		key := FunctionKey(id, version)
		gotID, gotVersion, err := parseFunctionKey(key)
		if err != nil || gotID != id || gotVersion != version {
			t.Errorf("%q gives %v %q, %v", key, gotID, gotVersion, err)
		}
		if key <= last {
			t.Errorf("%q does not follow %q", key, last)
		}
		last = key
	}
	for _, bad := range []string{"", "lambda/function/latest/1/2", "lambda/function/version/1/2/3", "lambda/function/version/1/2/3/x", "lambda/function/version/1/2/3/0", "other/1/2/3"} {
		if _, _, err := parseFunctionKey(bad); !errors.Is(err, ErrBadKey) {
			t.Errorf("%q: got %v, want ErrBadKey", bad, err)
		}
	}
	for _, bad := range []string{"", "0", "01", "1x", "-1", "99999999999", "$latest"} {
		if ValidVersion(bad) {
			t.Errorf("%q is a valid version", bad)
		}
	}
}

func TestPutFunctionRefusesStrangeNames(t *testing.T) {
	for _, f := range []*Function{{ID: FunctionID{Name: ""}, Version: "1"}, {ID: FunctionID{Name: "a/b"}, Version: "1"}, {ID: FunctionID{Name: "a"}, Version: "live"}} {
		if _, err := PutFunction(f, store.Unconditional()); !errors.Is(err, ErrBadKey) {
			t.Errorf("%+v: got %v", f.ID, err)
		}
	}
}

func TestCloneSharesNoMap(t *testing.T) {
	f := filled(t)
	c := f.Clone()
	if !reflect.DeepEqual(f, c) {
		t.Fatal("a clone differs")
	}
	c.Environment["new"], c.Tags["new"] = "1", "1"
	if _, ok := f.Environment["new"]; ok || len(f.Tags) != 1 {
		t.Error("a clone shares a map")
	}
}

func FuzzDecodeFunction(f *testing.F) {
	b, _ := EncodeFunction(&Function{ID: FunctionID{"111111111111", "us-east-1", "f"}, Version: "1", Environment: map[string]string{"A": "b"}})
	f.Add(b)
	f.Add([]byte(`{"f":1,"env":null}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		fn, err := DecodeFunction(b)
		if err != nil {
			return
		}
		again, err := EncodeFunction(fn)
		if err != nil {
			if strings.Contains(err.Error(), "year outside") {
				return
			}
			t.Fatal(err)
		}
		if _, err := DecodeFunction(again); err != nil {
			t.Fatal(err)
		}
	})
}
