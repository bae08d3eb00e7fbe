package main

import (
	"fmt"
	"slices"

	"github.com/lambdad/lambdad/internal/wire/model"
)

// applyOverrides takes the excluded constraints out of the model. An override
// that no longer names anything is an error: the model has moved on.
func (s *service) applyOverrides() error {
	for _, o := range s.Overrides {
		if o.Reason == "" {
			return fmt.Errorf("the override of %s %s gives no reason", o.Shape, o.Constraint)
		}
		target := s.Model.Shapes[o.Shape]
		if target == nil {
			return fmt.Errorf("an override names the unknown shape %s", o.Shape)
		}
		if !applyOverride(target, o) {
			return fmt.Errorf("the override of %s %s %s excludes nothing", o.Shape, o.Member, o.Constraint)
		}
	}
	return nil
}

func applyOverride(target *model.Shape, o override) bool {
	switch o.Constraint {
	case "required":
		i := slices.Index(target.Required, o.Member)
		if i < 0 {
			return false
		}
		target.Required = slices.Delete(target.Required, i, i+1)
		return true
	case "enum":
		had := len(target.Enum) > 0 && !target.EnumOpen
		target.EnumOpen = true
		return had
	case "pattern":
		had := target.Pattern != ""
		target.Pattern = ""
		return had
	case "length", "range":
		had := target.Min != nil || target.Max != nil
		target.Min, target.Max = nil, nil
		return had
	}
	return false
}
