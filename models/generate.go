// Package models owns the pinned service models and the directive that makes
// internal/api from them. It holds no code and must never be imported.
package models

//go:generate go run ../cmd/apigen generate -models . -out ../internal/api
