package model

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// Member is one named member of a structure.
type Member struct {
	Name string
	Ref
}

// Members keeps the order in which the model lists a structure's members: AWS
// reports validation errors and writes XML in that order.
type Members []Member

// UnmarshalJSON reads the object member by member, because a map would lose the
// order.
func (ms *Members) UnmarshalJSON(data []byte) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	if tok, err := dec.Token(); err != nil || tok != json.Delim('{') {
		return fmt.Errorf("members: want an object, got %v (%v)", tok, err)
	}
	for dec.More() {
		tok, err := dec.Token()
		if err != nil {
			return err
		}
		m := Member{Name: tok.(string)}
		if err := dec.Decode(&m.Ref); err != nil {
			return fmt.Errorf("member %s: %w", m.Name, err)
		}
		*ms = append(*ms, m)
	}
	return nil
}

// Index finds a member by name, -1 when there is none.
func (ms Members) Index(name string) int {
	for i := range ms {
		if ms[i].Name == name {
			return i
		}
	}
	return -1
}
