package timestamp

import (
	"testing"
	"time"

	"github.com/lambdad/lambdad/internal/wire/shape"
)

func TestFormats(t *testing.T) {
	for _, tc := range []struct {
		millis         int64
		unix, iso, rfc string
	}{
		{0, "0", "1970-01-01T00:00:00Z", "Thu, 01 Jan 1970 00:00:00 GMT"},
		{1398796238000, "1398796238", "2014-04-29T18:30:38Z", "Tue, 29 Apr 2014 18:30:38 GMT"},
		{1398796238050, "1398796238.05", "2014-04-29T18:30:38.05Z", "Tue, 29 Apr 2014 18:30:38.05 GMT"},
		{-500, "-0.5", "1969-12-31T23:59:59.5Z", "Wed, 31 Dec 1969 23:59:59.5 GMT"},
		{-1250, "-1.25", "1969-12-31T23:59:58.75Z", "Wed, 31 Dec 1969 23:59:58.75 GMT"},
	} {
		at := time.UnixMilli(tc.millis)
		for f, want := range map[shape.TimestampFormat]string{shape.TimestampUnix: tc.unix, shape.TimestampISO8601: tc.iso, shape.TimestampRFC822: tc.rfc} {
			if got := string(Append(nil, at, f)); got != want {
				t.Errorf("%d as %d: %s, want %s", tc.millis, f, got, want)
			}
			if got, err := Parse(want, f); err != nil || !got.Equal(at) {
				t.Errorf("%s: %v, %v", want, got, err)
			}
		}
	}
}

func TestMalformed(t *testing.T) {
	for f, texts := range map[shape.TimestampFormat][]string{
		shape.TimestampUnix:    {"", "x", "NaN", "Infinity", "0x10", "1e300", "-1e300", "1_0", "1,5"},
		shape.TimestampISO8601: {"", "2014-04-29", "2014-04-29T18:30:38", "2014-04-29 18:30:38Z", "2014-04-29T18:30:38,5Z", "2014-04-29T8:30:38Z", "2014-13-29T18:30:38Z"},
		shape.TimestampRFC822:  {"", "Tue, 29 Apr 2014 18:30:38", "Tue, 29 Apr 2014 18:30:38 PST", "Tuesday, 29 April 2014 18:30:38 GMT", "29 Apr 2014 18:30:38 GMT"},
	} {
		for _, s := range texts {
			if got, err := Parse(s, f); err == nil {
				t.Errorf("%q as %d: %v", s, f, got)
			}
		}
	}
}
