// Package api owns the generated packages below it, one a service, and holds the
// tests of what they do together with the server. It must never import a room
// that implements a service, because those rooms import the generated packages.
package api
