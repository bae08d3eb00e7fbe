package conformance

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/lambdad/lambdad/internal/wire/cborcodec"
	"github.com/lambdad/lambdad/internal/wire/constraint"
	"github.com/lambdad/lambdad/internal/wire/formcodec"
	"github.com/lambdad/lambdad/internal/wire/httpbind"
	"github.com/lambdad/lambdad/internal/wire/jsoncodec"
	"github.com/lambdad/lambdad/internal/wire/model"
	"github.com/lambdad/lambdad/internal/wire/xmlcodec"
)

// everything is a model with every kind of member, and a recursive one.
const everything = `{
	"metadata": {"protocol": "rest-json", "apiVersion": "1"},
	"operations": {"Do": {"http": {"method": "POST", "requestUri": "/do/{s}/and/{rest+}?x=1"}, "input": {"shape": "Bound"}}},
	"shapes": {
		"All": {"type": "structure", "required": ["s"], "members": {
			"s": {"shape": "Str"}, "b": {"shape": "Boolean"}, "y": {"shape": "Byte"}, "i": {"shape": "Int"}, "l": {"shape": "Long"}, "f": {"shape": "Float"}, "d": {"shape": "Double"},
			"t": {"shape": "Time"}, "iso": {"shape": "Time", "timestampFormat": "iso8601"}, "rfc": {"shape": "Time", "timestampFormat": "rfc822"},
			"blob": {"shape": "Blob"}, "list": {"shape": "List"}, "flat": {"shape": "List", "flattened": true}, "nested": {"shape": "Lists"},
			"map": {"shape": "Map"}, "flatmap": {"shape": "Map", "flattened": true}, "self": {"shape": "All"}, "selves": {"shape": "Alls"},
			"union": {"shape": "Union"}, "attr": {"shape": "Str", "xmlAttribute": true}, "sparse": {"shape": "SparseList"}}},
		"Bound": {"type": "structure", "payload": "body", "members": {
			"s": {"shape": "Str", "location": "uri", "locationName": "s"}, "rest": {"shape": "Str", "location": "uri", "locationName": "rest"},
			"q": {"shape": "List", "location": "querystring", "locationName": "q"}, "all": {"shape": "StrMap", "location": "querystring"},
			"h": {"shape": "Times", "location": "header", "locationName": "x-h"}, "n": {"shape": "Int", "location": "header", "locationName": "x-n"},
			"p": {"shape": "StrMap", "location": "headers", "locationName": "x-p-"}, "body": {"shape": "All"}}},
		"Union": {"type": "structure", "union": true, "members": {"a": {"shape": "Str"}, "b": {"shape": "Int"}}},
		"Str": {"type": "string", "min": 1, "max": 10, "pattern": "[a-z]*"}, "Boolean": {"type": "boolean"}, "Byte": {"type": "byte"}, "Int": {"type": "integer", "max": 5},
		"Long": {"type": "long"}, "Float": {"type": "float"}, "Double": {"type": "double", "max": 1.5}, "Time": {"type": "timestamp"}, "Blob": {"type": "blob", "max": 3},
		"List": {"type": "list", "member": {"shape": "Str"}, "max": 2}, "Lists": {"type": "list", "member": {"shape": "List"}}, "SparseList": {"type": "list", "member": {"shape": "Str"}},
		"Times": {"type": "list", "member": {"shape": "Time"}}, "Alls": {"type": "list", "member": {"shape": "All"}},
		"Map": {"type": "map", "key": {"shape": "Str"}, "value": {"shape": "All"}}, "StrMap": {"type": "map", "key": {"shape": "Str"}, "value": {"shape": "Str"}}
	}
}`

func everythingTypes(f *testing.F) *types {
	m, err := model.Parse([]byte(everything))
	if err != nil {
		f.Fatal(err)
	}
	return newTypes(m)
}

func FuzzJSON(f *testing.F) {
	ts := everythingTypes(f)
	for _, s := range []string{
		`{"s":"a","self":{"list":["x",null]},"union":{"a":"b"},"t":1.5,"blob":"YQ==","map":{"k":{}},"sparse":[null]}`,
		`{"s":"\ud83d\ude00\u00e9\/","d":"NaN","f":-1e3,"i":1.0,"unknown":[{"a":[1,"\\",{}]}]}`, `[`, `{"s":`, `{"s":"\`, "",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		v := ts.new("All")
		if jsoncodec.Unmarshal(data, v, jsoncodec.Options{}) != nil {
			return
		}
		constraint.Message(constraint.Check(v), false)
		again := ts.new("All")
		out := jsoncodec.Marshal(v)
		if err := jsoncodec.Unmarshal(out, again, jsoncodec.Options{}); err != nil || !equal(v, again) {
			t.Errorf("%s\nbecame %s\nerror %v", show(v), show(again), err)
		}
	})
}

func FuzzCBOR(f *testing.F) {
	ts := everythingTypes(f)
	seed := ts.new("All")
	if err := jsoncodec.Unmarshal([]byte(`{"s":"a","self":{"list":["x"]},"union":{"a":"b"},"t":1.5,"blob":"YQ==","map":{"k":{}},"d":0.1,"i":-3}`), seed, jsoncodec.Options{}); err != nil {
		f.Fatal(err)
	}
	f.Add(cborcodec.Marshal(seed))
	f.Add([]byte{0xbf, 0x61, 's', 0x7f, 0x61, 'a', 0xff, 0xff})
	f.Add([]byte{0xa1, 0x61, 't', 0xc1, 0xf9, 0x3c, 0x00})
	f.Add([]byte{0xbb, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, data []byte) {
		v := ts.new("All")
		if cborcodec.Unmarshal(data, v) != nil {
			return
		}
		again := ts.new("All")
		if err := cborcodec.Unmarshal(cborcodec.Marshal(v), again); err != nil || !equal(v, again) {
			t.Errorf("%s\nbecame %s\nerror %v", show(v), show(again), err)
		}
	})
}

func FuzzXML(f *testing.F) {
	ts := everythingTypes(f)
	for _, s := range []string{
		`<All attr="x"><s>a</s><flat>b</flat><list><member>c</member></list><flat>d</flat><map><entry><key>k</key><value><s>v</s></value></entry></map></All>`,
		`<!DOCTYPE a [<!ENTITY b "c">]><All>&b;</All>`, `<All><s>&#x41;<![CDATA[<]]></s></All>`, `<All>`, ``,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		v := ts.new("All")
		if xmlcodec.Unmarshal(data, v) != nil {
			return
		}
		enc := xmlcodec.NewEncoder(nil)
		enc.OpenStructure("All", "", "", v)
		v.EncodeMembers(enc)
		enc.Close("All")
		if err := xmlcodec.Unmarshal(enc.Bytes(), ts.new("All")); err != nil {
			t.Errorf("%s was written as %s: %v", show(v), enc.Bytes(), err)
		}
	})
}

func FuzzForm(f *testing.F) {
	ts := everythingTypes(f)
	for _, s := range []string{
		"Action=Do&s=a&list.member.1=x&list.member.3=y&map.entry.1.key=k&map.entry.1.value.s=v&flat.1=a&self.self.s=q&list=", "a.b.c.d=%zz", "list.member.0=x", strings.Repeat("a.", 100) + "=1",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, form string) {
		q, err := httpbind.ParseQuery(form)
		if err != nil {
			return
		}
		v := ts.new("All")
		if formcodec.Unmarshal(q, v) == nil {
			constraint.Message(constraint.Check(v), true)
		}
	})
}

// FuzzRequest runs whole requests: routing by raw path, query, headers, body.
func FuzzRequest(f *testing.F) {
	ts := everythingTypes(f)
	o := &operation{types: ts, meta: &ts.model.Metadata, given: ts.model.Operations["Do"]}
	server, err := o.server()
	if err != nil {
		f.Fatal(err)
	}
	f.Add("POST", "/do/a%2Fb/and/c/d", "x=1&q=a&q=%62", "Tue, 29 Apr 2014 18:30:38 GMT, Tue, 29 Apr 2014 18:30:38 GMT", "lambda.us-east-1.amazonaws.com", []byte(`{"s":"a"}`))
	f.Add("GET", "/service/x/operation/y", "X-Amz-Credential=a%2Fb%2Fc%2Fd%2Faws4_request", "\"", "[::1]:80", []byte(nil))
	f.Fuzz(func(t *testing.T, method, path, query, header, host string, body []byte) {
		r := &http.Request{
			Method: method, URL: &url.URL{Path: path, RawQuery: query}, Host: host, RemoteAddr: header, ContentLength: int64(len(body)),
			Header: http.Header{"X-H": {header}, "X-N": {header}, "X-P-A": {header}, "Authorization": {header}, "Content-Type": {header}},
			Body:   http.NoBody,
		}
		if unescaped, err := url.PathUnescape(path); err == nil {
			r.URL.Path, r.URL.RawPath = unescaped, path
		}
		if len(body) > 0 {
			r.Body = readCloser{bytes.NewReader(body)}
		}
		w := httptest.NewRecorder()
		server.ServeHTTP(w, r)
		if w.Code >= 500 && w.Code != http.StatusNotImplemented {
			t.Errorf("status %d: %s", w.Code, w.Body)
		}
	})
}

type readCloser struct{ *bytes.Reader }

func (readCloser) Close() error { return nil }
