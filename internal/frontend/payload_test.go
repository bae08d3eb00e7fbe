package frontend

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestPayloadFault(t *testing.T) {
	const at = "\n at [Source: REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled); line: "
	for name, tc := range map[string]struct{ payload, want string }{
		"object":  {`{"a":[1,-2.5e3,"\u00e9",null,true,false,{}]}`, ""},
		"scalar":  {` "x" `, ""},
		"null":    {"null", ""},
		"unicode": {`"é€😀"`, ""},
		// These two are recorded.
		"recorded body":    {"n\x87r\x9e\xe9\xb5\xd7I\xee\x9bmt", "Invalid UTF-8 start byte 0x87" + at + "1, column: 3]"},
		"recorded message": {"\x99\xeb,j\x07\xa1zYh", "Unexpected character ((CTRL-CHAR, code 153)): expected a valid value (JSON String, Number, Array, Object or token 'null', 'true' or 'false')" + at + "1, column: 1]"},
		"word":             {"hello", "Unrecognized token 'hello': was expecting (JSON String, Number, Array, Object or token 'null', 'true' or 'false')" + at + "1, column: 6]"},
		"half a word":      {"nul", "Unrecognized token 'nul': was expecting (JSON String, Number, Array, Object or token 'null', 'true' or 'false')" + at + "1, column: 4]"},
		"open object":      {`{"a":1`, "Unexpected end-of-input: expected close marker for Object (start marker at [Source: REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled); line: 1, column: 1])" + at + "1, column: 7]"},
		"single quotes":    {"{'a':1}", "Unexpected character (''' (code 39)): was expecting double-quote to start field name" + at + "1, column: 2]"},
		"second line":      {"{\n\"a\" 1}", "Unexpected character ('1' (code 49)): was expecting a colon to separate field name and value" + at + "2, column: 5]"},
		"no comma":         {"[1 2]", "Unexpected character ('2' (code 50)): was expecting comma to separate Array entries" + at + "1, column: 4]"},
		"empty":            {"  ", "No content to map due to end-of-input" + at + "1, column: 3]"},
		"in a string":      {"\"a\xffb\"", "Invalid UTF-8 start byte 0xff" + at + "1, column: 4]"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := payloadFault([]byte(tc.payload)); got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
		})
	}
}

func FuzzPayloadFault(f *testing.F) {
	for _, s := range []string{`{"a":[1,2,{"b":null}]}`, "n\x87r", "\x99", "[", `"\u12`, "-", "1e", "01", strings.Repeat("[", 2000), `{"a":"\x00"}`, "1 2", "tru"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		valid := utf8.Valid(b) && json.Valid(b)
		if fault := payloadFault(b); (fault == "") != valid {
			t.Errorf("valid %v, fault %q", valid, fault)
		} else if len(fault) > 1000 {
			t.Errorf("a fault of %d bytes", len(fault))
		}
	})
}
