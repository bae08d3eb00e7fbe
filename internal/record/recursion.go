package record

// Recursion is what becomes of a function's recursive loops. Its key is the function with
// Latest. A function without one has its loops stopped.
type Recursion struct {
	Allow bool `json:"a"`
}

// Recursions are kept in this form.
var Recursions = QualifiedKind[Recursion]("recursion", 1)
