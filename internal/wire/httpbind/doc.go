// Package httpbind owns the HTTP bindings of the rest protocols: which members
// of a structure are read from and written to the path, the query, headers and
// the status. It must never import a body codec or a service: the body is left
// to whoever calls it.
package httpbind
