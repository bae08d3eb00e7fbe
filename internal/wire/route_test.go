package wire

import (
	"net/http"
	"testing"

	"github.com/lambdad/lambdad/internal/aws"
)

func TestRoutes(t *testing.T) {
	ops := []Operation{
		{Name: "List", Method: "GET", URI: "/2015/functions"},
		{Name: "Get", Method: "GET", URI: "/2015/functions/{Name}"},
		{Name: "Literal", Method: "GET", URI: "/2015/functions/list"},
		{Name: "Sub", Method: "GET", URI: "/2015/functions/{Name}/aliases/{Alias}"},
		{Name: "Find", Method: "GET", URI: "/layers?find=LayerVersion"},
		{Name: "Layers", Method: "GET", URI: "/layers"},
		{Name: "Object", Method: "GET", URI: "/{Bucket}/{Key+}"},
		{Name: "Tagging", Method: "GET", URI: "/{Bucket}/{Key+}?tagging"},
		{Name: "Bucket", Method: "GET", URI: "/{Bucket}"},
		{Name: "Middle", Method: "PUT", URI: "/m/{Path+}/end"},
		{Name: "Root", Method: "GET", URI: "/"},
	}
	rt, err := newRouter(ops)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		method, path, query, want string
		labels                    []string
	}{
		{"GET", "/2015/functions", "", "List", nil},
		{"GET", "/2015/functions/", "", "List", nil},
		{"GET", "/2015/functions/f", "", "Get", []string{"f"}},
		{"GET", "/2015/functions/list", "", "Literal", nil},
		{"GET", "/2015/functions/arn%3Aaws%3Alambda%2Fx", "", "Get", []string{"arn:aws:lambda/x"}},
		{"GET", "/2015/functions/f/aliases/a%20b", "", "Sub", []string{"f", "a b"}},
		{"GET", "/layers", "find=LayerVersion&Arn=x", "Find", nil},
		{"GET", "/layers", "find=Other", "Layers", nil},
		{"GET", "/b/k/../l", "", "Object", []string{"b", "k/../l"}},
		{"GET", "/b/k", "tagging", "Tagging", []string{"b", "k"}},
		{"GET", "/b/k", "tagging=%zz", "Object", []string{"b", "k"}},
		{"GET", "/b", "", "Bucket", []string{"b"}},
		{"GET", "/b/", "", "Bucket", []string{"b"}},
		{"PUT", "/m/x/y/end", "", "Middle", []string{"x/y"}},
		{"GET", "/", "", "Root", nil},
		{"POST", "/2015/functions", "", "", nil},
		{"PUT", "/m/end", "", "", nil},
		{"GET", "/2015/functions/%zz", "", "", nil},
	} {
		var m match
		found, err := rt.find(tc.method, tc.path, tc.query, &m)
		if found != (tc.want != "") {
			t.Errorf("%s %s?%s: found %v, %v", tc.method, tc.path, tc.query, found, err)
			continue
		}
		if !found {
			continue
		}
		if m.op.Name != tc.want || len(m.Labels()) != len(tc.labels) {
			t.Errorf("%s %s?%s: %s %v, want %s", tc.method, tc.path, tc.query, m.op.Name, m.Labels(), tc.want)
			continue
		}
		for i, want := range tc.labels {
			if m.Labels()[i].Value != want {
				t.Errorf("%s: label %v, want %s", tc.path, m.Labels()[i], want)
			}
		}
	}
}

func TestCredentialScope(t *testing.T) {
	for _, tc := range []struct{ header, query, service, region string }{
		{"AWS4-HMAC-SHA256 Credential=AKIA/20260101/eu-west-1/lambda/aws4_request, SignedHeaders=host", "", "lambda", "eu-west-1"},
		{"AWS4-HMAC-SHA256 Credential=a/b/20260101/eu-west-1/s3/aws4_request,SignedHeaders=host", "", "s3", "eu-west-1"},
		{"", "X-Amz-Credential=AKIA%2F20260101%2Feu-west-1%2Flambda%2Faws4_request&X-Amz-Date=1", "lambda", "eu-west-1"},
		{"Bearer x", "", "", ""},
		{"AWS4-HMAC-SHA256 Credential=a/b", "", "", ""},
		{"", "X-Amz-Credential=%zz", "", ""},
	} {
		r, err := http.NewRequest("GET", "http://x/?"+tc.query, nil)
		if err != nil {
			t.Fatal(err)
		}
		if tc.header != "" {
			r.Header.Set("Authorization", tc.header)
		}
		if service, region := credentialScope(r); service != tc.service || region != aws.Region(tc.region) {
			t.Errorf("%q %q: %s %s", tc.header, tc.query, service, region)
		}
	}
}

func TestSplitHost(t *testing.T) {
	s := &Server{cfg: Config{Domains: []string{"cloud.Example"}}, byHost: map[string][]*endpoint{"lambda": {{}}, "sts": {{}}, "s3": {{}}}}
	for _, tc := range []struct{ host, service, region string }{
		{"lambda.us-east-1.amazonaws.com", "lambda", "us-east-1"},
		{"sts.amazonaws.com:443", "sts", ""},
		{"LAMBDA.eu-west-1.cloud.example:4566", "lambda", "eu-west-1"},
		{"my.bucket.s3.eu-west-1.amazonaws.com", "s3", "eu-west-1"},
		{"lambda.cn-north-1.amazonaws.com.cn", "lambda", "cn-north-1"},
		{"127.0.0.1:4566", "", ""},
		{"[::1]:4566", "", ""},
		{"", "", ""},
	} {
		if service, region := s.splitHost(tc.host); service != tc.service || region != aws.Region(tc.region) {
			t.Errorf("%q: %s %s", tc.host, service, region)
		}
	}
}
