package pattern

import (
	"errors"
	"maps"
	"testing"
)

const (
	updateTrail = `{"eventType": "UpdateTrail", "sourceIPAddress": "111.111.111.111", "arrayKey": ["value", "another value"],
		"objectList": [{"name": "a", "id": 1}, {"name": "b", "id": 2}], "SomeObject": null, "cluster.name": "c"}`
	user = `{"user": {"id": 1, "email": "John.Stiles@example.com"}, "users": [{"id": 2, "email": "John.Doe@example.com"},
		{"id": 3, "email": "Jane.Doe@example.com"}], "actions": ["GET", "PUT", "DELETE"], "coordinates": [[0, 1, 2], [4, 5, 6], [7, 8, 9]],
		"bandwidth": 1.6e3, "errorCode": 404, "isOn": true, "isOff": false}`
	access = `127.0.0.1 Prod frank [10/Oct/2000:13:25:15 -0700] "GET /index.html HTTP/1.0" 404 1534`
)

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		pattern, message string
		want             bool
	}{
		// Terms, as the user guide explains them.
		{"", "anything", true},
		{" ", "", true},
		{"ERROR", "[ERROR 400] BAD REQUEST", true},
		{"ERROR", "error", false},
		{"ERROR", "an ERRORS", true},
		{"ERROR ARGUMENTS", "[ERROR 419] MISSING ARGUMENTS", true},
		{"ERROR ARGUMENTS", "[ERROR 401] UNAUTHORIZED REQUEST", false},
		{"?ERROR ?ARGUMENTS", "[ERROR 401] UNAUTHORIZED REQUEST", true},
		{"?ERROR ?ARGUMENTS", "MISSING ARGUMENTS", true},
		{"?ERROR ?ARGUMENTS", "INFO", false},
		{"ERROR -ARGUMENTS", "[ERROR 401] UNAUTHORIZED", true},
		{"ERROR -ARGUMENTS", "[ERROR 419] MISSING ARGUMENTS", false},
		{"-INFO", "WARN", true},
		{"-INFO", "INFO", false},
		{"?WARN ERROR", "ERROR", true},
		{`"INTERNAL SERVER ERROR"`, "[ERROR 500] INTERNAL SERVER ERROR", true},
		{`"INTERNAL SERVER ERROR"`, "INTERNAL ERROR SERVER", false},
		{`"[ERROR"`, "[ERROR 500]", true},
		{`-"a b" c`, "a b c", false},
		{`?"a b" ?"c d"`, "c d", true},
		{`"say \"hi\""`, `they say "hi"`, true},
		{`"a\\b"`, `a\b`, true},
		{"%AUTHORIZED%", "[ERROR 401] UNAUTHORIZED", true},
		{"%^ERROR%", "ERROR x", true},
		{"%^ERROR%", "an ERROR", false},
		{"%[0-9]{3}$%", "code 404", true},
		{"%gr[ae]y% -blue", "grey", true},
		{`%10\.10\.0\.1{1,3}%`, "from 10.10.0.11", true},
		{"Über", "Übermut", true},

		// JSON events.
		{`{ $.eventType = "UpdateTrail" }`, updateTrail, true},
		{`{ $.eventType = "Other" }`, updateTrail, false},
		{`{ $.eventType = UpdateTrail }`, updateTrail, true},
		{`{$.eventType="Update*"}`, updateTrail, true},
		{`{ $.eventType = *Trail }`, updateTrail, true},
		{`{ $.sourceIPAddress != 123.123.* }`, updateTrail, true},
		{`{ $.sourceIPAddress != 111.111.* }`, updateTrail, false},
		{`{ $.arrayKey[0] = "value" }`, updateTrail, true},
		{`{ $.arrayKey[7] = "value" }`, updateTrail, false},
		{`{ $.objectList[1].id = 2 }`, updateTrail, true},
		{`{ $.objectList[*].id = 2 }`, updateTrail, true},
		{`{ $.objectList[*].id = 3 }`, updateTrail, false},
		{`{ $.SomeObject IS NULL }`, updateTrail, true},
		{`{ $.eventType IS NULL }`, updateTrail, false},
		{`{ $.SomeOtherObject NOT EXISTS }`, updateTrail, true},
		{`{ $.SomeObject NOT EXISTS }`, updateTrail, false},
		{`{ $.eventType EXISTS }`, updateTrail, true},
		{`{ $["cluster.name"] = "c" }`, updateTrail, true},
		{`{ $.eventType = %Trail$% }`, updateTrail, true},
		{`{ $.eventType = %^Trail% }`, updateTrail, false},
		{`{ ($.user.id = 1) && ($.users[0].email = "John.Doe@example.com") }`, user, true},
		{`{ ($.user.id = 2 && $.users[0].email = "nonmatch") || $.actions[2] = "GET" }`, user, false},
		{`{ $.user.email = "John.Stiles@example.com" || $.coordinates[0][1] = "nonmatch" && $.actions[2] = "nomatch" }`, user, true},
		{`{ ($.user.email = "John.Stiles@example.com" || $.coordinates[0][1] = "nonmatch") && $.actions[2] = "nomatch" }`, user, false},
		{`{ $.coordinates[1][2] = 6 }`, user, true},
		{`{ $.bandwidth > 75 }`, user, true},
		{`{ $.bandwidth = 1600 }`, user, true},
		{`{ $.bandwidth = 1.6E3 }`, user, true},
		{`{ $.bandwidth <= 1599.5 }`, user, false},
		{`{ $.errorCode = 4* }`, user, true},
		{`{ $.errorCode = 400 }`, user, false},
		{`{ $.errorCode >= 404 && $.errorCode < 405 }`, user, true},
		{`{ $.isOn IS TRUE }`, user, true},
		{`{ $.isOn IS FALSE }`, user, false},
		{`{ $.isOff IS FALSE }`, user, true},
		{`{ $.user IS TRUE }`, user, false},
		{`{ $.missing != "x" }`, user, false},
		{`{ $.actions[*] = PUT }`, user, true},
		{`{ $.l[*] = 2 }`, `{"l": [1, 2]}`, true},
		{`{ $.l[*] = 3 }`, `{"l": [1, 2]}`, false},
		{`{ $.l[*].m[*] = 3 }`, `{"l": [{"m": [1]}, {"m": [3]}]}`, true},
		{`{ $.n > 1e2 }`, `{"n": 1.5e2}`, true},
		{`{ $.n = -5 }`, `{"n": -5}`, true},
		{`{ $.n = NaN }`, `{"n": "NaN"}`, true},
		{`{$.a[0]=1&&$.b IS NULL||($.c NOT EXISTS&&$.d=x)}`, `{"a": [1], "b": null}`, true},
		{`{ $.user.* = "John.*" }`, user, true},
		{`{ $.a = "b" }`, "not json", false},
		{`{ $.a = "b" }`, `["array"]`, false},
		{`{ $.a = "b" }`, `{"a": "b"} trailing {`, false},

		// Space-delimited events.
		{"[ip, user, username, timestamp, request, status_code, bytes]", access, true},
		{"[ip, user, username, timestamp, request, status_code]", access, false},
		{"[ip, user, username, timestamp, request, status_code = 4*, bytes]", access, true},
		{"[ip, user, username, timestamp, request, status_code = 4*, bytes > 1000]", access, true},
		{"[ip, user, username, timestamp, request, status_code = 4*, bytes > 2000]", access, false},
		{"[..., status_code = 404, bytes]", access, true},
		{"[..., request = *.html*, status_code = 4*, bytes]", access, true},
		{"[ip, ..., bytes]", access, true},
		{"[ip=127.0.0.1, ...]", access, true},
		{"[ip!=127.0.0.1, ...]", access, false},
		{"[...]", access, true},
		{"[w1=ERROR, w2]", "ERROR x", true},
		{"[w1=ERROR || w1=WARN, w2]", "WARN x", true},
		{"[w1=ERROR || w1=WARN, w2]", "INFO x", false},
		{"[w1!=*x* && w1!=*y*, w2]", "abc d", true},
		{"[w1!=*x* && w1!=*y*, w2]", "aye d", false},
		{`[a, b = "two words"]`, `1 "two words"`, true},
		{"[ip=%127\\.0\\.0\\.[1-9]%, ...]", access, true},
		{"[a, , c=3]", "1 2 3", true},
		{"[a,,c=3]", "1 2 3", true},
		{"[]", "a b c", true},
		{"[ ]", "", true},
		{"[a=NaN]", "NaN", true},
		{"[a=inf]", "Infinity", false},
		{"[a=0x10]", "16", false},
		{"[a=1_000]", "1000", false},
		{"[a=1e3]", "1000", true},
		{"[a=-1.5e+2]", "-150", true},
		{"[a=1*, b!=x]", "12 y", true},
		{"[a=1*, b!=x]", "12 x", false},
		{"[..., x]", "a b", true},
		{`[a=%x.z%, ...]`, "xyz 1", true},
		{"[a>=4,b<5]", "4 4", true},
	} {
		p, err := Compile(c.pattern)
		if err != nil {
			t.Errorf("Compile(%q): %v", c.pattern, err)
			continue
		}
		if got := p.Match(c.message); got != c.want {
			t.Errorf("%q on %q: %v, want %v", c.pattern, c.message, got, c.want)
		}
	}
}

func TestInvalid(t *testing.T) {
	for pattern, message := range map[string]string{
		"foo.bar":                           "Invalid character(s) in term 'foo.bar'",
		"good [x]":                          "Invalid character(s) in term '[x]'",
		"?":                                 "Invalid character(s) in term '?'",
		"- x":                               "Invalid character(s) in term '-'",
		`"open`:                             `Invalid character(s) in term '"open'`,
		"%open":                             "Invalid filter pattern",
		"%a(b)%":                            "Invalid filter pattern",
		"%something!%":                      "Invalid filter pattern",
		"%é%":                               "Invalid filter pattern",
		"%[%":                               "Invalid filter pattern",
		"{":                                 "Invalid filter pattern",
		"{}":                                "Invalid filter pattern",
		"{ $.a }":                           "Invalid filter pattern",
		"{ $ = 1 }":                         "Invalid filter pattern",
		"{ a = 1 }":                         "Invalid filter pattern",
		"{ $.a = }":                         "Invalid filter pattern",
		"{ $.a = 1":                         "Invalid filter pattern",
		"{ $.a = 1 } x":                     "Invalid filter pattern",
		"{ ($.a = 1 }":                      "Invalid filter pattern",
		"{ $.a > b }":                       "Invalid filter pattern",
		`{ $.a > "1" }`:                     "Invalid filter pattern",
		"{ $.a IS MAYBE }":                  "Invalid filter pattern",
		"{ $.a[x] = 1 }":                    "Invalid filter pattern",
		"{ $.a = 1 && }":                    "Invalid filter pattern",
		"{ $.a=%a% || $.b=%b% || $.c=%c% }": "Invalid filter pattern",
		"[":                                 "Invalid filter pattern",
		"[a":                                "Invalid filter pattern",
		"[a] b":                             "Invalid filter pattern",
		"[a=]":                              "Invalid filter pattern",
		"[a=1 || b=2]":                      "Invalid filter pattern",
		"[..., a, ...]":                     "Invalid filter pattern",
		"[a > x]":                           "Invalid filter pattern",
	} {
		_, err := Compile(pattern)
		if !errors.Is(err, ErrInvalid) || err.Error() != message {
			t.Errorf("Compile(%q): %v, want %q", pattern, err, message)
		}
	}
}

func TestExtract(t *testing.T) {
	for _, c := range []struct {
		pattern, message string
		want             map[string]string
	}{
		{"ERROR", "an ERROR", map[string]string{}},
		{"[ip, ..., status=404, bytes]", "1.2.3.4 a b 404 7",
			map[string]string{"$ip": "1.2.3.4", "$2": "a", "$3": "b", "$status": "404", "$bytes": "7"}},
		{"{ $.a.b = 1* || $.c IS NULL }", `{"a": {"b": 12.50}, "c": null}`, map[string]string{"$.a.b": "12.50"}},
	} {
		p, err := Compile(c.pattern)
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := p.Extract(c.message); !ok || !maps.Equal(got, c.want) {
			t.Errorf("%q on %q: %v %v, want %v", c.pattern, c.message, got, ok, c.want)
		}
	}
}

func FuzzCompile(f *testing.F) {
	for _, s := range []string{"ERROR -x ?y", `"a b" %c.d%`, "[a, b=5, ..., c != x*]", `{ $.a[0]["b c"].* >= 1e3 && ($.b IS NULL || $.c NOT EXISTS) }`} {
		f.Add(s, updateTrail)
		f.Add(s, access)
	}
	f.Fuzz(func(t *testing.T, s, message string) {
		p, err := Compile(s)
		if err != nil {
			if !errors.Is(err, ErrInvalid) {
				t.Fatalf("%q: %v", s, err)
			}
			return
		}
		values, ok := p.Extract(message)
		if ok != p.Match(message) || ok != (values != nil) {
			t.Fatalf("%q on %q: Match and Extract differ", s, message)
		}
	})
}
