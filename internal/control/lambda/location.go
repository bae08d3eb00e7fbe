package lambda

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/lambdad/lambdad/internal/artifact"
	"github.com/lambdad/lambdad/internal/store"
)

// CodePath begins the path of every Code.Location; node mounts CodeHandler there.
const CodePath = "/_lambdad/code/"

// locationLife is how long a Code.Location works. Source: Lambda API, GetFunction ("a
// link to download the deployment package that's valid for 10 minutes").
const locationLife = 10 * time.Minute

const (
	secretKey   = "lambda/secret/code-location"
	secretBytes = 32
)

// locationSecret reads the key that signs locations, or makes it. It is in the store so
// that every node honours what another one signed.
func locationSecret(ctx context.Context, records store.Records) ([]byte, error) {
	r, err := records.Get(ctx, secretKey)
	if errors.Is(err, store.ErrNotFound) {
		fresh := make([]byte, secretBytes)
		rand.Read(fresh) // never fails: crypto/rand aborts the process instead
		_, err = records.Commit(ctx, store.Write{Kind: store.WritePut, Key: secretKey, Value: fresh, If: store.IfAbsent()})
		if err != nil && !errors.Is(err, store.ErrConflict) {
			return nil, fmt.Errorf("keep the secret of code locations: %w", err)
		}
		r, err = records.Get(ctx, secretKey) // ours, or that of the node that was faster
	}
	if err != nil {
		return nil, fmt.Errorf("read the secret of code locations: %w", err)
	}
	return r.Value, nil
}

// signer makes and checks download locations. The URL itself is the right to download,
// as with AWS, so it is short-lived and names one package.
type signer struct {
	secret []byte
	now    func() time.Time
}

func (s signer) location(endpoint string, digest artifact.Digest) string {
	expires := strconv.FormatInt(s.now().Add(locationLife).Unix(), 10)
	q := url.Values{"expires": {expires}, "signature": {s.sign(string(digest), expires)}}
	return strings.TrimSuffix(endpoint, "/") + CodePath + string(digest) + "?" + q.Encode()
}

func (s signer) sign(digest, expires string) string {
	mac := hmac.New(sha256.New, s.secret)
	fmt.Fprintf(mac, "code-location\n%s\n%s", digest, expires)
	return hex.EncodeToString(mac.Sum(nil))
}

// check tells whether a request's signature is ours, and whether it still lives.
func (s signer) check(digest string, q url.Values) (ours, alive bool) {
	expires := q.Get("expires")
	if !hmac.Equal([]byte(q.Get("signature")), []byte(s.sign(digest, expires))) {
		return false, false
	}
	at, err := strconv.ParseInt(expires, 10, 64)
	return true, err == nil && s.now().Unix() <= at
}

// CodeHandler serves the locations that GetFunction hands out. Refusals look
// like S3's, because that is where the link leads at AWS.
func (c *Control) CodeHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			codeError(w, http.StatusMethodNotAllowed, "MethodNotAllowed", "The specified method is not allowed against this resource.")
			return
		}
		name := strings.TrimPrefix(r.URL.Path, CodePath)
		ours, alive := c.signer.check(name, r.URL.Query())
		if !ours {
			codeError(w, http.StatusForbidden, "SignatureDoesNotMatch", "The request signature we calculated does not match the signature you provided.")
			return
		}
		if !alive {
			codeError(w, http.StatusForbidden, "AccessDenied", "Request has expired")
			return
		}
		digest, err := artifact.ParseDigest(name)
		if err != nil {
			codeError(w, http.StatusNotFound, "NoSuchKey", "The specified key does not exist.")
			return
		}
		zip, _, err := c.artifacts.OpenZip(digest)
		if errors.Is(err, artifact.ErrNotFound) {
			codeError(w, http.StatusNotFound, "NoSuchKey", "The specified key does not exist.")
			return
		}
		if err != nil {
			c.log.Error("a deployment package cannot be read", "digest", digest, "error", err)
			codeError(w, http.StatusInternalServerError, "InternalError", "We encountered an internal error. Please try again.")
			return
		}
		defer zip.Close()
		w.Header().Set("Content-Type", "application/zip")
		w.Header().Set("ETag", `"`+name+`"`)
		w.Header().Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", name+".zip"))
		http.ServeContent(w, r, "", time.Time{}, zip)
	})
}

func codeError(w http.ResponseWriter, status int, code, message string) {
	body, err := xml.Marshal(struct {
		XMLName xml.Name `xml:"Error"`
		Code    string
		Message string
	}{Code: code, Message: message})
	if err != nil {
		panic("a struct of strings must marshal: " + err.Error())
	}
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	w.Write(append([]byte(xml.Header), body...))
}
