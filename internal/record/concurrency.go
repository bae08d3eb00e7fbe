package record

// Concurrency is the reserved concurrency of a function: as many of its invokes may run at
// once, and no more. Its key is the function with Latest.
type Concurrency struct {
	Reserved int `json:"r"`
}

// Concurrencies are kept in this form.
var Concurrencies = QualifiedKind[Concurrency]("concurrency", 1)

// Ledger counts the changes of what an account has set aside of its concurrency. Whoever sets
// something aside writes it under the revision that it read before counting, so that two at
// once never promise more than there is.
type Ledger struct {
	Changes uint64 `json:"n"`
}

// Ledgers are kept in this form; the name is "concurrency".
var Ledgers = ScopedKind[Ledger]("ledger", 1)
