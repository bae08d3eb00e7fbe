package xmlcodec

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"

	"github.com/lambdad/lambdad/internal/wire/shape"
)

// element is a parsed element.
type element struct {
	name     string // without prefix
	text     string
	attrs    []xml.Attr
	children []*element
}

// parse reads a document into a tree, nil where there is none. There are no
// entities but XML's own, and no document types, so a small document stays small.
func parse(data []byte) (*element, error) {
	dec := xml.NewDecoder(bytes.NewReader(data))
	var root *element
	var stack []*element
	var texts []*strings.Builder
	for {
		tok, err := dec.Token()
		if errors.Is(err, io.EOF) {
			if len(stack) > 0 {
				return nil, shape.Malformed("the document ends inside an element")
			}
			return root, nil
		}
		if err != nil {
			return nil, shape.Malformed("the XML is not well-formed")
		}
		switch tok := tok.(type) {
		case xml.StartElement:
			if len(stack) == shape.DepthMax {
				return nil, shape.Malformed("nested deeper than %d", shape.DepthMax)
			}
			el := &element{name: tok.Name.Local, attrs: tok.Attr}
			switch {
			case len(stack) > 0:
				parent := stack[len(stack)-1]
				parent.children = append(parent.children, el)
			case root != nil:
				return nil, shape.Malformed("more than one root element")
			default:
				root = el
			}
			stack = append(stack, el)
			texts = append(texts, new(strings.Builder))
		case xml.EndElement:
			last := len(stack) - 1
			stack[last].text = texts[last].String()
			stack, texts = stack[:last], texts[:last]
		case xml.CharData:
			if len(texts) > 0 {
				texts[len(texts)-1].Write(tok)
			}
		case xml.Directive:
			return nil, shape.Malformed("document types are not accepted")
		}
	}
}

// localName is a wire name without its prefix.
func localName(name string) string { return name[strings.IndexByte(name, ':')+1:] }
