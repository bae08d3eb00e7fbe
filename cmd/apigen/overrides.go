package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"sort"

	"github.com/lambdad/lambdad/internal/wire/model"
)

// overrides is what is known of a service beside its model, each with the reason
// or the source.
type overrides struct {
	// Constraints are left out of the generated validation, because the service
	// checks them in its own words.
	Constraints []constraintOverride `json:"constraints"`
	// Limits are constraints that the service has and its model does not tell.
	Limits []limitOverride `json:"limits"`
	// EnumOrders are the orders in which messages list the values of an enum.
	EnumOrders []enumOrder `json:"enumOrders"`
	// MemberOrders are the orders in which messages show a structure's members.
	MemberOrders []memberOrder `json:"memberOrders"`
	// FormNames are names in the query protocol that its last model does not have.
	FormNames []formName `json:"formNames"`
	// NoDetail are the codes of the query protocol's faults without an empty
	// Detail; where it is not given at all, no fault has one.
	NoDetail *setting[[]string] `json:"noDetail"`
	// ValidationCode is the code of constraint faults; by default it is
	// ValidationError for the query protocol and else ValidationException.
	ValidationCode  *setting[string] `json:"validationCode"`
	HideValues      *setting[bool]   `json:"hideValues"`
	MalformedCode   *setting[string] `json:"malformedCode"`
	MalformedPrefix *setting[string] `json:"malformedPrefix"`
	InternalCode    *setting[string] `json:"internalCode"`
	// BodyMax bounds request bodies; Operations bounds those of single operations.
	BodyMax    *setting[int64]              `json:"bodyMax"`
	Operations map[string]operationOverride `json:"operations"`
}

type setting[T any] struct {
	Value  T      `json:"value"`
	Reason string `json:"reason"`
}

type operationOverride struct {
	BodyMax int64 `json:"bodyMax"`
	// Name is the operation's name in the fault of a body that is too large.
	Name   string `json:"name"`
	Reason string `json:"reason"`
}

type constraintOverride struct {
	Shape      string `json:"shape"`
	Member     string `json:"member,omitempty"` // only "required" is of a member
	Constraint string `json:"constraint"`       // required, enum, pattern, length, range
	Reason     string `json:"reason"`
}

type limitOverride struct {
	Shape   string   `json:"shape"`
	Pattern string   `json:"pattern"`
	Min     *float64 `json:"min"`
	Max     *float64 `json:"max"`
	Reason  string   `json:"reason"`
}

type enumOrder struct {
	Shape  string   `json:"shape"`
	Values []string `json:"values"`
	Reason string   `json:"reason"`
}

type memberOrder struct {
	Shape   string   `json:"shape"`
	Members []string `json:"members"`
	Reason  string   `json:"reason"`
}

type formName struct {
	Shape  string `json:"shape"`
	Member string `json:"member"`
	Name   string `json:"name"`
	Reason string `json:"reason"`
}

func loadOverrides(path string) (map[string]overrides, error) {
	all := map[string]overrides{}
	data, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return all, nil
	}
	if err != nil {
		return nil, err
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&all); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return all, nil
}

// applyOverrides changes the model. An override that no longer names anything is
// an error: the model has moved on.
func (s *service) applyOverrides() error {
	for _, o := range s.Overrides.Constraints {
		target, err := s.overridden(o.Shape, o.Reason)
		if err != nil {
			return err
		}
		if !applyConstraint(target, o) {
			return fmt.Errorf("the override of %s %s %s excludes nothing", o.Shape, o.Member, o.Constraint)
		}
	}
	for _, o := range s.Overrides.Limits {
		target, err := s.overridden(o.Shape, o.Reason)
		if err != nil {
			return err
		}
		if o.Pattern == target.Pattern && o.Min == nil && o.Max == nil {
			return fmt.Errorf("the limits of %s are those of the model", o.Shape)
		}
		applyLimits(target, o)
	}
	for _, o := range s.Overrides.EnumOrders {
		target, err := s.overridden(o.Shape, o.Reason)
		if err != nil {
			return err
		}
		if !sameValues(target.Enum, o.Values) {
			return fmt.Errorf("the order of the enum %s does not have its values", o.Shape)
		}
		target.EnumOrder = o.Values
	}
	for _, o := range s.Overrides.MemberOrders {
		target, err := s.overridden(o.Shape, o.Reason)
		if err != nil {
			return err
		}
		ordered := make(model.Members, 0, len(o.Members))
		for _, name := range o.Members {
			i := target.Members.Index(name)
			if i < 0 {
				return fmt.Errorf("the order of %s names the unknown member %s", o.Shape, name)
			}
			ordered = append(ordered, target.Members[i])
		}
		if len(ordered) != len(target.Members) {
			return fmt.Errorf("the order of %s does not have all members", o.Shape)
		}
		target.Members = ordered
	}
	for _, o := range s.Overrides.FormNames {
		target, err := s.overridden(o.Shape, o.Reason)
		if err != nil {
			return err
		}
		if target.Members.Index(o.Member) < 0 {
			return fmt.Errorf("the form name of %s names the unknown member %s", o.Shape, o.Member)
		}
	}
	for name := range s.Overrides.Operations {
		if s.Model.Operations[name] == nil {
			return fmt.Errorf("an override names the unknown operation %s", name)
		}
	}
	return nil
}

func applyLimits(target *model.Shape, o limitOverride) {
	if o.Pattern != "" {
		target.Pattern = o.Pattern
	}
	if o.Min != nil {
		target.Min = o.Min
	}
	if o.Max != nil {
		target.Max = o.Max
	}
}

func (s *service) overridden(name, reason string) (*model.Shape, error) {
	if reason == "" {
		return nil, fmt.Errorf("the override of %s gives no reason", name)
	}
	target := s.Model.Shapes[name]
	if target == nil {
		return nil, fmt.Errorf("an override names the unknown shape %s", name)
	}
	return target, nil
}

func sameValues(a, b []string) bool {
	a, b = slices.Clone(a), slices.Clone(b)
	sort.Strings(a)
	sort.Strings(b)
	return slices.Equal(a, b)
}

func applyConstraint(target *model.Shape, o constraintOverride) bool {
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

// value is the setting, or the zero value where there is none.
func (s *setting[T]) value() (v T) {
	if s != nil {
		v = s.Value
	}
	return v
}
