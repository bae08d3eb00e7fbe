package main

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/lambdad/lambdad/internal/wire/model"
	"github.com/lambdad/lambdad/internal/wire/shape"
)

// loadQueryModel reads the last model that a service had in the query protocol.
// Present models of such a service are awsQueryCompatible and tell nothing of the
// names in forms and XML, nor of the former error codes.
func loadQueryModel(path string) (*model.Model, error) {
	m, err := model.Load(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil && m.Metadata.Protocol != "query" {
		err = fmt.Errorf("%s speaks %s, not query", path, m.Metadata.Protocol)
	}
	return m, err
}

// formerly gives a schema the names and the error code of the query protocol.
func (s *service) formerly(schema *shape.Schema) error {
	for _, o := range s.Overrides.FormNames {
		for i := range schema.Members {
			if o.Shape == schema.Name && o.Member == schema.Members[i].Name {
				schema.Members[i].FormName = o.Name
			}
		}
	}
	if s.Query == nil || s.Query.Shapes[schema.Name] == nil {
		return nil
	}
	old, err := s.Query.Schema(schema.Name)
	if err != nil {
		return err
	}
	if schema.Error != nil && old.Error != nil {
		schema.Error.QueryCode = old.Error.QueryCode
		schema.Error.Status = old.Error.Status
		schema.Error.Sender = old.Error.Sender
	}
	for i := range schema.Members {
		for j := range old.Members {
			if old.Members[j].Name == schema.Members[i].Name {
				formerName(&schema.Members[i], &old.Members[j])
			}
		}
	}
	return nil
}

func formerName(m, old *shape.Member) {
	if m == nil || old == nil {
		return
	}
	if old.WireName != m.WireName {
		m.FormName = old.WireName
	}
	formerName(m.Element, old.Element)
	formerName(m.Key, old.Key)
	formerName(m.Value, old.Value)
}
