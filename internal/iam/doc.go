// Package iam owns who a caller is and what they may do: credentials at rest,
// temporary sessions, the directory of identities in memory, authentication
// and authorisation. It must never import a service's API or its control room:
// those ask it, and it has to answer while they are down.
package iam
