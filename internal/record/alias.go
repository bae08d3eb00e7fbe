package record

// Alias is a name for a published version or for $LATEST, or for two published versions
// between which its invokes are divided. Its key is the function with the alias's name.
type Alias struct {
	Version     string `json:"ver"`
	Description string `json:"desc,omitempty"`
	// Weights give a version beside Version its share of the invokes, from 0 to 1: at most one.
	Weights map[string]float64 `json:"w,omitempty"`
	// RevisionID is new on each change.
	RevisionID string `json:"rev"`
}

// Aliases are kept in this form.
var Aliases = QualifiedKind[Alias]("alias", 1)

// Route is the version that one invoke goes to. Chance is a number from 0 to 1, exclusive,
// that is as likely to be anywhere.
func (a *Alias) Route(chance float64) string {
	for version, share := range a.Weights {
		if chance < share {
			return version
		}
	}
	return a.Version
}

// Versions are all that the alias may route to.
func (a *Alias) Versions() []string {
	out := []string{a.Version}
	for version := range a.Weights {
		out = append(out, version)
	}
	return out
}
