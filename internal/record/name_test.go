package record

import (
	"errors"
	"testing"
)

var here = Scope{Account: "111111111111", Region: "us-east-1"}

func TestParseName(t *testing.T) {
	id := FunctionID{"111111111111", "us-east-1", "my-fn_1"}
	tests := []struct {
		in   string
		want Name
		kind error
	}{
		{"my-fn_1", Name{id, ""}, nil},
		{"my-fn_1:$LATEST", Name{id, Latest}, nil},
		{"my-fn_1:$LATEST.PUBLISHED", Name{id, LatestPublished}, nil},
		{"111111111111:function:my-fn_1:$LATEST.PUBLISHED", Name{id, LatestPublished}, nil},
		{"arn:aws:lambda:us-east-1:111111111111:function:my-fn_1:$LATEST.PUBLISHED", Name{id, LatestPublished}, nil},
		{"my-fn_1:$LATEST.OTHER", Name{}, ErrBadName},
		{"my-fn_1:LATEST.PUBLISHED", Name{}, ErrBadName},
		{"my-fn_1:7", Name{id, "7"}, nil},
		{"my-fn_1:live", Name{id, "live"}, nil},
		{"function:my-fn_1", Name{id, ""}, nil},
		{"111111111111:function:my-fn_1", Name{id, ""}, nil},
		{"111111111111:function:my-fn_1:live", Name{id, "live"}, nil},
		{"arn:aws:lambda:us-east-1:111111111111:function:my-fn_1", Name{id, ""}, nil},
		{"arn:aws:lambda:us-east-1:111111111111:function:my-fn_1:$LATEST", Name{id, Latest}, nil},
		{"function", Name{FunctionID{"111111111111", "us-east-1", "function"}, ""}, nil},
		{"arn:aws:lambda:eu-west-1:111111111111:function:my-fn_1", Name{}, ErrOtherRegion},
		{"222222222222:function:my-fn_1", Name{FunctionID{"222222222222", "us-east-1", "my-fn_1"}, ""}, ErrOtherAccount},
		{"arn:aws:lambda:us-east-1:222222222222:function:f:1", Name{FunctionID{"222222222222", "us-east-1", "f"}, "1"}, ErrOtherAccount},
		{"", Name{}, ErrBadName},
		{"a b", Name{}, ErrBadName},
		{"a/b", Name{}, ErrBadName},
		{"a:", Name{}, ErrBadName},
		{"a:b:c", Name{}, ErrBadName},
		{"a:$OTHER", Name{}, ErrBadName},
		{"arn:aws:lambda:us-east-1:111111111111:layer:x", Name{}, ErrBadName},
		{"arn:aws:s3:us-east-1:111111111111:function:x", Name{}, ErrBadName},
		{"arn:aws:lambda:us-east-1:11:function:x", Name{}, ErrBadName},
		{"arn:aws:lambda", Name{}, ErrBadName},
	}
	for _, tt := range tests {
		got, err := ParseName(tt.in, here)
		if !errors.Is(err, tt.kind) || got != tt.want {
			t.Errorf("ParseName(%q) = %+v, %v; want %+v, %v", tt.in, got, err, tt.want, tt.kind)
		}
	}
}

func TestParseNameTexts(t *testing.T) {
	_, err := ParseName("arn:aws:lambda:eu-west-1:111111111111:function:f", here)
	if want := "Functions from 'eu-west-1' are not reachable in this region ('us-east-1')"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	_, err = ParseQualified("f:1", "2", here)
	if want := "The derived qualifier from the function name does not match the specified qualifier."; !errors.Is(err, ErrQualifierMismatch) || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	n, err := ParseQualified("f:1", "1", here)
	if err != nil || n.ARN() != "arn:aws:lambda:us-east-1:111111111111:function:f:1" {
		t.Errorf("got %v, %v", n, err)
	}
}

func FuzzParseName(f *testing.F) {
	for _, s := range []string{"f", "f:1", "111111111111:function:f:$LATEST", "arn:aws:lambda:us-east-1:111111111111:function:f:x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := ParseName(s, here)
		if err != nil {
			return
		}
		// What was understood means the same when it is said in full.
		again, err := ParseName(n.ARN(), here)
		if err != nil || again != n {
			t.Errorf("%q is %+v, but its ARN %q is %+v, %v", s, n, n.ARN(), again, err)
		}
	})
}
