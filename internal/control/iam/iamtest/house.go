// Package iamtest owns what the tests of IAM and STS ask: a server with both
// services over an in-memory store, and a client that signs and gives answers in
// boto3's form. It must never be imported by code that is not a test.
package iamtest

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	iamapi "github.com/lambdad/lambdad/internal/api/iam"
	stsapi "github.com/lambdad/lambdad/internal/api/sts"
	"github.com/lambdad/lambdad/internal/iam"
	"github.com/lambdad/lambdad/internal/store/mem"
	"github.com/lambdad/lambdad/internal/wire"
	"github.com/lambdad/lambdad/internal/wire/sigv4"
)

// Object is an answer as boto3 shows it.
type Object = map[string]any

// Params are the flat members of a query request.
type Params map[string]string

// House is a server with IAM and STS.
type House struct {
	*testing.T
	Authority *iam.Authority
	Admin     sigv4.Credentials
	URL       string
	iam, sts  reflect.Value // the handlers
}

// Open starts a house whose administrator was made.
func Open(t *testing.T, mode iam.Mode, iamHandlers func(*iam.Authority) iamapi.Handlers, stsHandlers func(*iam.Authority) stsapi.Handlers) *House {
	t.Helper()
	s := mem.New()
	a, err := iam.Open(context.Background(), iam.Options{Records: s, Mode: mode})
	if err != nil {
		t.Fatal(err)
	}
	h := &House{T: t, Authority: a}
	if h.Admin, _, err = a.Bootstrap(context.Background()); err != nil {
		t.Fatal(err)
	}
	ih, sh := iamHandlers(a), stsHandlers(a)
	h.iam, h.sts = reflect.ValueOf(ih), reflect.ValueOf(sh)
	server, err := wire.NewServer(wire.Config{Services: []*wire.Service{iamapi.NewService(ih), stsapi.NewService(sh)}, Authenticator: a, Region: "us-east-1"})
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(server)
	h.URL = web.URL
	t.Cleanup(func() {
		web.Close()
		if err := a.Close(); err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return h
}

// IAM asks an operation of IAM as the administrator.
func (h *House) IAM(operation string, p Params) Object { return h.As(h.Admin, "iam", operation, p) }

// STS asks an operation of STS as the administrator.
func (h *House) STS(operation string, p Params) Object { return h.As(h.Admin, "sts", operation, p) }

// As asks with other credentials.
func (h *House) As(cred sigv4.Credentials, service, operation string, p Params) Object {
	h.Helper()
	version, handlers := "2010-05-08", h.iam
	if service == "sts" {
		version, handlers = "2011-06-15", h.sts
	}
	form := url.Values{"Action": {operation}, "Version": {version}}
	for k, v := range p {
		form.Set(k, v)
	}
	body := []byte(form.Encode())
	r, err := http.NewRequest(http.MethodPost, h.URL+"/", bytes.NewReader(body))
	if err != nil {
		h.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	sigv4.Sign(r, cred, sigv4.SignOptions{Region: "us-east-1", Service: service, Time: time.Now(), PayloadHash: sigv4.HashPayload(body)})
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		h.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		h.Fatal(err)
	}
	var root node
	if err := xml.Unmarshal(b, &root); err != nil {
		h.Fatalf("%s: %v: %s", operation, err, b)
	}
	out := Object{"ResponseMetadata": Object{"HTTPHeaders": Object{}, "HTTPStatusCode": float64(resp.StatusCode)}}
	if e := root.child("Error"); e != nil {
		fault := Object{}
		for _, c := range e.Children {
			fault[c.XMLName.Local] = c.Text
		}
		out["Error"] = fault
		return out
	}
	f := handlers.FieldByName(operation).Type()
	if result := root.child(operation + "Result"); result != nil && f.NumOut() == 2 {
		for k, v := range result.object(f.Out(0).Elem()) {
			out[k] = v
		}
	}
	return out
}

// node is an XML element of any name.
type node struct {
	XMLName  xml.Name
	Text     string `xml:",chardata"`
	Children []node `xml:",any"`
}

func (n *node) child(name string) *node {
	for i := range n.Children {
		if n.Children[i].XMLName.Local == name {
			return &n.Children[i]
		}
	}
	return nil
}

func (n *node) object(t reflect.Type) Object {
	out := Object{}
	for i := range n.Children {
		c := &n.Children[i]
		if f, ok := t.FieldByName(c.XMLName.Local); ok {
			out[f.Name] = c.value(f.Type)
		} else {
			out[c.XMLName.Local] = "a member that the model does not have"
		}
	}
	return out
}

func (n *node) value(t reflect.Type) any {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t.Kind() {
	case reflect.Bool:
		return n.Text == "true"
	case reflect.Int32, reflect.Int64:
		f, err := strconv.ParseFloat(n.Text, 64)
		if err != nil {
			return n.Text
		}
		return f
	case reflect.Slice:
		out := []any{}
		for i := range n.Children {
			out = append(out, n.Children[i].value(t.Elem()))
		}
		return out
	case reflect.Map:
		out := Object{}
		for i := range n.Children {
			out[n.Children[i].child("key").Text] = n.Children[i].child("value").Text
		}
		return out
	case reflect.Struct:
		if t == reflect.TypeFor[time.Time]() {
			return n.Text
		}
		return n.object(t)
	}
	if strings.HasSuffix(n.XMLName.Local, "Document") {
		if s, err := url.QueryUnescape(n.Text); err == nil {
			var doc any
			if json.Unmarshal([]byte(s), &doc) == nil {
				return doc // boto3 decodes documents
			}
		}
	}
	return n.Text
}
