package filter

import (
	"errors"
	"strings"
	"testing"
)

func decode(t testing.TB, s string) any {
	t.Helper()
	v, err := Decode([]byte(s))
	if err != nil {
		t.Fatalf("%s: %v", s, err)
	}
	return v
}

// TestMatch has AWS's documented examples (EventBridge user guide, "Comparison operators for
// use in event patterns"; Lambda developer guide, "Control which events Lambda sends to your
// function") and the recorded ones (test_sqs_event_filter, test_dynamodb_event_filter).
func TestMatch(t *testing.T) {
	for _, tc := range []struct {
		name, pattern string
		yes, no       []string
	}{
		{"recorded: single", `{"body":{"my-key":["my-value"]}}`, []string{`{"body":{"my-key":"my-value"}}`}, []string{`{"body":{"my-key":"other"}}`, `{"body":"my-value"}`, `{}`}},
		{"recorded: or", `{"body":{"my-key":["my-value-one","my-value-two"]}}`, []string{`{"body":{"my-key":"my-value-two"}}`}, []string{`{"body":{"my-key":"my-value-three"}}`}},
		{"recorded: and", `{"body":{"my-key-one":["other-filter","my-value-one"],"my-key-two":["my-value-two"]}}`, []string{`{"body":{"my-key-one":"my-value-one","my-key-two":"my-value-two"}}`}, []string{`{"body":{"my-key-one":"my-value-one","my-key-two":"x"}}`, `{"body":{"my-key-one":"my-value-one"}}`}},
		{"recorded: exists", `{"body":{"my-key":[{"exists":true}]}}`, []string{`{"body":{"my-key":"any-value-one"}}`, `{"body":{"my-key":null}}`}, []string{`{"body":{"other":1}}`, `{"body":{"my-key":{"deeper":1}}}`, `{"body":{"my-key":[]}}`}},
		{"recorded: bigger", `{"body":{"my-number":[{"numeric":[">",100]}]}}`, []string{`{"body":{"my-number":101}}`}, []string{`{"body":{"my-number":100}}`, `{"body":{"my-number":"101"}}`}},
		{"recorded: smaller", `{"body":{"my-number":[{"numeric":["<",100]}]}}`, []string{`{"body":{"my-number":99}}`}, []string{`{"body":{"my-number":100}}`}},
		{"recorded: range", `{"body":{"my-number":[{"numeric":[">=",100,"<",200]}]}}`, []string{`{"body":{"my-number":100}}`, `{"body":{"my-number":199.999999}}`}, []string{`{"body":{"my-number":99}}`, `{"body":{"my-number":200}}`}},
		{"recorded: prefix", `{"body":{"my-key":[{"prefix":"yes"}]}}`, []string{`{"body":{"my-key":"yes-value"}}`}, []string{`{"body":{"my-key":"no-yes"}}`, `{"body":{"my-key":1}}`}},
		{"recorded: no such key", `{"dynamodb":{"NewImage":{"presentKey":[{"exists":false}]}}}`, []string{`{"dynamodb":{"NewImage":{"id":{"S":"1"}}}}`, `{"dynamodb":{}}`, `{}`}, []string{`{"dynamodb":{"NewImage":{"presentKey":"x"}}}`}},
		{"recorded: number or not", `{"N":[{"numeric":[">",100]},{"anything-but":"101"}]}`, []string{`{"N":"102"}`, `{"N":101}`}, []string{`{"N":"101"}`, `{}`}},
		{"null", `{"a":[null]}`, []string{`{"a":null}`}, []string{`{"a":""}`, `{}`, `{"a":"null"}`}},
		{"empty", `{"a":[""]}`, []string{`{"a":""}`}, []string{`{"a":null}`, `{}`}},
		{"booleans", `{"a":[true]}`, []string{`{"a":true}`, `{"a":[false,true]}`}, []string{`{"a":false}`, `{"a":"true"}`}},
		{"numbers", `{"a":[300]}`, []string{`{"a":300}`, `{"a":300.0}`, `{"a":3.0e2}`}, []string{`{"a":"300"}`, `{"a":301}`}},
		{"account numbers are compared as written", `{"a":[123456789012]}`, []string{`{"a":123456789012}`}, []string{`{"a":123456789012.0}`}},
		{"exactly", `{"a":[{"exactly":"x"}]}`, []string{`{"a":"x"}`}, []string{`{"a":"X"}`}},
		{"case", `{"a":[{"equals-ignore-case":"Alice"}]}`, []string{`{"a":"aLICE"}`}, []string{`{"a":"alic"}`}},
		{"prefix in any case", `{"a":[{"prefix":{"equals-ignore-case":"EveN"}}]}`, []string{`{"a":"evenT"}`, `{"a":"EVEN"}`}, []string{`{"a":"eve"}`, `{"a":"xeven"}`}},
		{"suffix", `{"a":[{"suffix":".png"}]}`, []string{`{"a":"x.png"}`, `{"a":".png"}`}, []string{`{"a":"x.PNG"}`, `{"a":"png"}`}},
		{"suffix in any case", `{"a":[{"suffix":{"equals-ignore-case":".png"}}]}`, []string{`{"a":"x.PNG"}`}, []string{`{"a":"PNG"}`}},
		{"anything but", `{"a":[{"anything-but":"x"}]}`, []string{`{"a":"y"}`, `{"a":1}`, `{"a":["x","y"]}`}, []string{`{"a":"x"}`, `{}`, `{"a":["x"]}`}},
		{"anything but some", `{"a":[{"anything-but":["x","y"]}]}`, []string{`{"a":"z"}`}, []string{`{"a":"x"}`, `{"a":"y"}`}},
		{"anything but numbers", `{"a":[{"anything-but":[100,200]}]}`, []string{`{"a":150}`, `{"a":"100"}`}, []string{`{"a":100}`, `{"a":200.0}`}},
		{"anything but a prefix", `{"a":[{"anything-but":{"prefix":"init"}}]}`, []string{`{"a":"done"}`}, []string{`{"a":"initial"}`}},
		{"anything but prefixes", `{"a":[{"anything-but":{"prefix":["a","b"]}}]}`, []string{`{"a":"c"}`}, []string{`{"a":"ab"}`, `{"a":"ba"}`}},
		{"anything but a suffix", `{"a":[{"anything-but":{"suffix":".txt"}}]}`, []string{`{"a":"x.png"}`}, []string{`{"a":"x.txt"}`}},
		{"anything but in any case", `{"a":[{"anything-but":{"equals-ignore-case":["initializing","stopped"]}}]}`, []string{`{"a":"running"}`}, []string{`{"a":"STOPPED"}`}},
		{"anything but a wildcard", `{"a":[{"anything-but":{"wildcard":"*/lib/*"}}]}`, []string{`{"a":"/bin/x"}`}, []string{`{"a":"/usr/lib/x"}`}},
		{"equal", `{"a":[{"numeric":["=",3.018e2]}]}`, []string{`{"a":301.8}`}, []string{`{"a":301}`}},
		{"up to", `{"a":[{"numeric":["<=",0]}]}`, []string{`{"a":0}`, `{"a":-5}`}, []string{`{"a":0.000001}`, `{"a":-6000000000}`}},
		{"network", `{"a":[{"cidr":"10.0.0.0/24"}]}`, []string{`{"a":"10.0.0.255"}`}, []string{`{"a":"10.0.1.0"}`, `{"a":"x"}`, `{"a":10}`}},
		{"network of version 6", `{"a":[{"cidr":"2001:db8::/32"}]}`, []string{`{"a":"2001:db8:1::1"}`}, []string{`{"a":"2001:db9::1"}`, `{"a":"10.0.0.1"}`}},
		{"wildcard", `{"a":[{"wildcard":"dir/*.png"}]}`, []string{`{"a":"dir/a/b.png"}`, `{"a":"dir/.png"}`}, []string{`{"a":"dir/a.gif"}`, `{"a":"x/dir/a.png"}`}},
		{"wildcard that overlaps", `{"a":[{"wildcard":"ab*ba"}]}`, []string{`{"a":"abba"}`, `{"a":"ab-ba"}`}, []string{`{"a":"aba"}`}},
		{"wildcard with parts", `{"a":[{"wildcard":"*a*b*"}]}`, []string{`{"a":"xaxbx"}`, `{"a":"ab"}`}, []string{`{"a":"ba"}`}},
		{"stars themselves", `{"a":[{"wildcard":"\\*\\\\*"}]}`, []string{`{"a":"*\\x"}`}, []string{`{"a":"x\\x"}`}},
		{"alternatives", `{"$or":[{"c":["x"]},{"d":[{"numeric":["<",0]}]}],"e":[1]}`, []string{`{"c":"x","e":1}`, `{"d":-1,"e":1}`}, []string{`{"c":"y","d":0,"e":1}`, `{"c":"x","e":2}`}},
		{"alternatives inside", `{"detail":{"$or":[{"a":["1"]},{"b":{"c":["2"]}}]}}`, []string{`{"detail":{"b":{"c":"2"}}}`}, []string{`{"detail":{"b":{"c":"3"}}}`}},
		{"a field named $or", `{"$or":[{"prefix":"x"},{"suffix":"y"}]}`, []string{`{"$or":"x1"}`, `{"$or":"1y"}`}, []string{`{"$or":"1"}`}},
		{"one element of an array", `{"a":{"b":[1],"c":[2]}}`, []string{`{"a":[{"b":1,"c":2}]}`, `{"a":[[{"b":1,"c":2}]]}`}, []string{`{"a":[{"b":1},{"c":2}]}`}},
		{"a plain body", `{"body":["hello"]}`, []string{`{"body":"hello"}`}, []string{`{"body":{"hello":1}}`}},
		{"a number with an object's pattern", `{"a":{"b":[{"exists":false}]}}`, []string{`{"a":5}`}, nil},
	} {
		p, err := Compile(tc.pattern)
		if err != nil {
			t.Errorf("%s: %v", tc.name, err)
			continue
		}
		for _, event := range tc.yes {
			if !p.Match(decode(t, event)) {
				t.Errorf("%s: %s does not match %s", tc.name, event, tc.pattern)
			}
		}
		for _, event := range tc.no {
			if p.Match(decode(t, event)) {
				t.Errorf("%s: %s matches %s", tc.name, event, tc.pattern)
			}
		}
	}
}

// TestRefused: recorded are test_sqs_invalid_event_filter and test_dynamodb_invalid_event_filter.
func TestRefused(t *testing.T) {
	for _, pattern := range []string{
		`null`, `simple string`, `{"eventSource":"aws:sqs"}`, `{"eventSource":[]}`, `single-string`, `[{"eventName": ["INSERT"=123}]`,
		``, `[]`, `{}`, `{"a":{}}`, `{"a":[{}]}`, `{"a":1}`, `{"a":null}`, `{"a":[["x"]]}`, `{"a":[1]} x`, `{"a":["x"`,
		`{"a":[{"prefix":1}]}`, `{"a":[{"prefix":{"suffix":"x"}}]}`, `{"a":[{"prefix":"a","suffix":"b"}]}`, `{"a":[{"exists":"yes"}]}`, `{"a":[{"unknown":"x"}]}`,
		`{"a":[{"anything-but":[]}]}`, `{"a":[{"anything-but":true}]}`, `{"a":[{"anything-but":["x",1]}]}`, `{"a":[{"anything-but":[null]}]}`, `{"a":[{"anything-but":{"prefix":""}}]}`, `{"a":[{"anything-but":{"numeric":["=",1]}}]}`, `{"a":[{"anything-but":{}}]}`,
		`{"a":[{"numeric":[]}]}`, `{"a":[{"numeric":[">"]}]}`, `{"a":[{"numeric":["~",1]}]}`, `{"a":[{"numeric":[">","1"]}]}`, `{"a":[{"numeric":[">",1,">",2]}]}`, `{"a":[{"numeric":["<",1,">",2]}]}`, `{"a":[{"numeric":[">",2,"<",1]}]}`, `{"a":[{"numeric":["=",1,"<",2]}]}`, `{"a":[{"numeric":["=",6000000000]}]}`,
		`{"a":[{"cidr":"10.0.0.0"}]}`, `{"a":[{"cidr":"10.0.0.0/64"}]}`, `{"a":[{"wildcard":"a**b"}]}`, `{"a":[{"wildcard":"a\\b"}]}`, `{"a":[{"wildcard":"a\\"}]}`, `{"a":[{"equals-ignore-case":1}]}`,
		`{"$or":[{"a":["x"]},{}]}`, `{"$or":[{"a":["x"]}]}`,
		`{"a":["` + strings.Repeat("x", patternBytesMax) + `"]}`,
		strings.Repeat(`{"a":`, 2*depthMax) + `["x"]` + strings.Repeat("}", 2*depthMax),
	} {
		if _, err := Compile(pattern); !errors.Is(err, ErrPattern) {
			t.Errorf("%.80s: %v", pattern, err)
		}
	}
}

func TestSet(t *testing.T) {
	set, err := CompileSet([]string{`{"a":["1"]}`, `{"b":["2"]}`})
	if err != nil {
		t.Fatal(err)
	}
	if !set.Match(decode(t, `{"b":"2"}`)) || set.Match(decode(t, `{"c":"3"}`)) || !(Set{}).Match(nil) {
		t.Error("a set matches where none of its patterns does, or the other way round")
	}
	if _, err := CompileSet([]string{`{"a":["1"]}`, `x`}); !errors.Is(err, ErrPattern) {
		t.Error(err)
	}
}

// FuzzMatch: whatever compiles can be matched with whatever is JSON, and alternates with its
// negation on scalars that are there.
func FuzzMatch(f *testing.F) {
	for _, seed := range [][2]string{
		{`{"a":[{"anything-but":{"wildcard":["a*b","*"]}}]}`, `{"a":"ab"}`},
		{`{"$or":[{"c":["x"]},{"d":[{"numeric":["<",0]}]}],"e":[{"cidr":"::/0"}]}`, `{"d":[-1,[{"x":1}]]}`},
		{`{"a":{"b":[{"suffix":{"equals-ignore-case":"é"}},{"exists":false}]}}`, `{"a":[{"b":"É"}]}`},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, pattern, event string) {
		p, err := Compile(pattern)
		if err != nil {
			if !errors.Is(err, ErrPattern) {
				t.Fatal(err)
			}
			return
		}
		v, err := Decode([]byte(event))
		if err != nil {
			return
		}
		if p.Match(v) != p.Match(v) {
			t.Error("the same event matches and does not")
		}
		p.Match(nil)
	})
}
