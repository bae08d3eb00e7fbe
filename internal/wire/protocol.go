package wire

// Protocol is one of the AWS wire protocols, by the name that service models
// give it.
type Protocol string

const (
	RestJSON Protocol = "rest-json"
	RestXML  Protocol = "rest-xml"
	// JSON10 and JSON11 differ in the content type alone; a model calls both
	// "json" and tells them apart by its jsonVersion.
	JSON10    Protocol = "json-1.0"
	JSON11    Protocol = "json-1.1"
	Query     Protocol = "query"
	RPCv2CBOR Protocol = "smithy-rpc-v2-cbor"
)
