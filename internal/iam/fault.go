package iam

import (
	"errors"
	"net/http"

	"github.com/lambdad/lambdad/internal/wire"
	"github.com/lambdad/lambdad/internal/wire/sigv4"
)

// idiom is how a family of protocols names the refusals that no model has.
type idiom uint8

const (
	idiomJSON  idiom = iota // rest-json, json, cbor: names end in Exception
	idiomQuery              // query: iam, sts
	idiomS3                 // rest-xml
)

func idiomOf(service string, protocol wire.Protocol) idiom {
	switch {
	case protocol == wire.RestXML || sigv4.SinglePathEncoding(service):
		return idiomS3
	case protocol == wire.Query:
		return idiomQuery
	default:
		return idiomJSON
	}
}

// refusal is one kind of failed authentication with its code in each idiom.
// Codes and statuses are those of the "Common error types" of the services'
// API references and of S3's "Error responses". An empty text means that the
// error's own sentence is told.
type refusal struct {
	kind            error
	json, query     string
	status          int
	text, queryText string
	s3, s3Text      string
	s3Status        int
}

const (
	invalidTokenText = "The security token included in the request is invalid."
	expiredTokenText = "The security token included in the request is expired"
	s3SignatureText  = "The request signature we calculated does not match the signature you provided. Check your key and signing method."
	s3SkewText       = "The difference between the request time and the current time is too large."
)

func refusals() []refusal {
	return []refusal{
		{kind: sigv4.ErrMissing, json: "MissingAuthenticationTokenException", query: "MissingAuthenticationToken", status: http.StatusForbidden,
			text: "Missing Authentication Token", queryText: "Request is missing Authentication Token",
			s3: "AccessDenied", s3Text: "Access Denied", s3Status: http.StatusForbidden},
		{kind: sigv4.ErrIncomplete, json: "IncompleteSignatureException", query: "IncompleteSignature", status: http.StatusBadRequest,
			s3: "AuthorizationHeaderMalformed", s3Status: http.StatusBadRequest},
		{kind: sigv4.ErrScope, json: "InvalidSignatureException", query: "SignatureDoesNotMatch", status: http.StatusForbidden,
			s3: "AuthorizationHeaderMalformed", s3Status: http.StatusBadRequest},
		{kind: sigv4.ErrSkewed, json: "InvalidSignatureException", query: "SignatureDoesNotMatch", status: http.StatusForbidden,
			s3: "RequestTimeTooSkewed", s3Text: s3SkewText, s3Status: http.StatusForbidden},
		{kind: sigv4.ErrExpired, json: "InvalidSignatureException", query: "SignatureDoesNotMatch", status: http.StatusForbidden,
			s3: "AccessDenied", s3Text: "Request has expired", s3Status: http.StatusForbidden},
		{kind: sigv4.ErrUnsignedHeader, json: "InvalidSignatureException", query: "SignatureDoesNotMatch", status: http.StatusForbidden,
			s3: "AccessDenied", s3Text: "There were headers present in the request which were not signed", s3Status: http.StatusForbidden},
		{kind: sigv4.ErrPayload, json: "InvalidSignatureException", query: "SignatureDoesNotMatch", status: http.StatusForbidden,
			s3: "XAmzContentSHA256Mismatch", s3Status: http.StatusBadRequest},
		{kind: sigv4.ErrChunk, json: "IncompleteBody", query: "IncompleteBody", status: http.StatusBadRequest,
			s3: "IncompleteBody", s3Status: http.StatusBadRequest},
		{kind: sigv4.ErrMismatch, json: "InvalidSignatureException", query: "SignatureDoesNotMatch", status: http.StatusForbidden,
			s3: "SignatureDoesNotMatch", s3Text: s3SignatureText, s3Status: http.StatusForbidden},
		{kind: errUnknownKey, json: "UnrecognizedClientException", query: "InvalidClientTokenId", status: http.StatusForbidden,
			text: invalidTokenText, queryText: invalidTokenText,
			s3: "InvalidAccessKeyId", s3Text: "The AWS Access Key Id you provided does not exist in our records.", s3Status: http.StatusForbidden},
		{kind: errBadToken, json: "UnrecognizedClientException", query: "InvalidClientTokenId", status: http.StatusForbidden,
			text: invalidTokenText, queryText: invalidTokenText,
			s3: "InvalidToken", s3Text: "The provided token is malformed or otherwise invalid.", s3Status: http.StatusBadRequest},
		{kind: errExpiredToken, json: "ExpiredTokenException", query: "ExpiredToken", status: http.StatusForbidden,
			text: expiredTokenText, queryText: expiredTokenText,
			s3: "ExpiredToken", s3Text: "The provided token has expired.", s3Status: http.StatusBadRequest},
	}
}

// faultFor turns a failed authentication into what the caller sees. An error
// of no known kind stays itself: the edge answers it as an internal failure.
func faultFor(err error, service string, protocol wire.Protocol) error {
	for _, r := range refusals() {
		if !errors.Is(err, r.kind) {
			continue
		}
		own := func(text string) string {
			if text == "" {
				return err.Error()
			}
			return text
		}
		switch idiomOf(service, protocol) {
		case idiomS3:
			return &wire.GenericFault{Code: r.s3, Message: own(r.s3Text), Status: r.s3Status}
		case idiomQuery:
			return &wire.GenericFault{Code: r.query, Message: own(r.queryText), Status: r.status}
		default:
			return &wire.GenericFault{Code: r.json, Message: own(r.text), Status: r.status, QueryCode: r.query}
		}
	}
	return err
}
