package wire

import (
	"net/http"
	"strings"

	"github.com/lambdad/lambdad/internal/wire/shape"
)

// strictMedia holds a request to the media types of its protocol, as Smithy's
// servers do.
func (x *exchange) strictMedia() error {
	var want string
	switch x.codec.(type) {
	case restJSON:
		want = jsonType
	case restXML:
		want = xmlType
	default:
		return nil
	}
	in := x.op.NewInput().WireSchema()
	if err := x.strictContentType(in, want); err != nil {
		return err
	}
	accept := x.r.Header.Get("Accept")
	if accept == "" || x.op.Output == nil {
		return nil
	}
	if produced := payloadType(x.op.Output, want); !accepts(accept, produced) {
		return NewFault(http.StatusNotAcceptable, "NotAcceptableException", "")
	}
	return nil
}

func (x *exchange) strictContentType(in *shape.Schema, want string) error {
	got := x.r.Header.Get("Content-Type")
	media, _, _ := strings.Cut(got, ";")
	media = strings.TrimSpace(media)
	unsupported := NewFault(http.StatusUnsupportedMediaType, "UnsupportedMediaTypeException", "")
	if !in.HasBody {
		if got != "" && len(x.body) > 0 && !(len(in.Members) == 0 && media == want && x.op.HasInput) {
			return unsupported
		}
		return nil
	}
	if in.Payload >= 0 {
		m := &in.Members[in.Payload]
		if m.Kind == shape.KindBlob {
			return nil // any media type
		}
		want = payloadType(in, want)
	}
	if got != "" && media != want || got == "" && in.Payload >= 0 && len(x.body) > 0 {
		return unsupported
	}
	return nil
}

// payloadType is the media type of a structure as a message.
func payloadType(s *shape.Schema, document string) string {
	if s.Payload >= 0 {
		switch s.Members[s.Payload].Kind {
		case shape.KindString:
			return "text/plain"
		case shape.KindBlob:
			return octetStream
		}
	}
	return document
}

// accepts reports whether an Accept header allows a media type.
func accepts(header, media string) bool {
	major, _, _ := strings.Cut(media, "/")
	for _, part := range strings.Split(header, ",") {
		part, _, _ = strings.Cut(part, ";")
		switch strings.TrimSpace(part) {
		case "*/*", media, major + "/*":
			return true
		}
	}
	return false
}
