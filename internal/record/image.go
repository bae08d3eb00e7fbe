package record

import "slices"

// Image is the container image of a function with PackageType Image.
type Image struct {
	URI      string `json:"uri"`
	Resolved string `json:"res"` // the same with its digest
	Digest   string `json:"d"`   // of the manifest, SHA-256 in hex

	EntryPoint []string `json:"ep,omitempty"` // ImageConfig: each over what the image says, if not nil
	Command    []string `json:"cmd,omitempty"`
	WorkingDir string   `json:"wd,omitempty"`

	// Before is the image that goes on serving while another one is fetched.
	Before *Image `json:"b,omitempty"`
}

// Clone returns a copy that shares nothing.
func (i *Image) Clone() *Image {
	if i == nil {
		return nil
	}
	c := *i
	c.EntryPoint, c.Command = slices.Clone(i.EntryPoint), slices.Clone(i.Command)
	c.Before = i.Before.Clone()
	return &c
}

// Serves is what environments are made from now.
func (i *Image) Serves() *Image {
	if i.Before != nil {
		return i.Before
	}
	return i
}

// Same compares what a published version freezes of an image.
func (i *Image) Same(o *Image) bool {
	if i == nil || o == nil {
		return i == o
	}
	return i.Digest == o.Digest && i.WorkingDir == o.WorkingDir &&
		slices.Equal(i.EntryPoint, o.EntryPoint) && slices.Equal(i.Command, o.Command)
}
