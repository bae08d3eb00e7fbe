package wire

// Ptr is a pointer to v, for the members of generated shapes, which are
// pointers because they may be absent.
func Ptr[T any](v T) *T { return &v }
