package wire

import (
	"github.com/lambdad/lambdad/internal/wire/cborcodec"
	"github.com/lambdad/lambdad/internal/wire/shape"
)

// rpcCBOR is the protocol smithy-rpc-v2-cbor.
type rpcCBOR struct{}

func (rpcCBOR) protocol() Protocol { return RPCv2CBOR }
func (rpcCBOR) malformed() string  { return "SerializationException" }

func (rpcCBOR) decode(x *exchange, in shape.Structure) error { return cborcodec.Unmarshal(x.body, in) }

const cborType = "application/cbor"

func (rpcCBOR) answer(x *exchange, out shape.Structure) error {
	x.w.Header()["smithy-protocol"] = []string{"rpc-v2-cbor"}
	if x.op.Output == nil {
		return x.write(x.op.Status, "", nil)
	}
	if out == nil {
		enc := cborcodec.NewEncoder(nil)
		enc.Begin()
		enc.End()
		return x.write(x.op.Status, cborType, enc.Bytes())
	}
	return x.write(x.op.Status, cborType, cborcodec.Marshal(out))
}

func (rpcCBOR) fault(x *exchange, f Fault) {
	x.w.Header()["smithy-protocol"] = []string{"rpc-v2-cbor"}
	x.genericHeaders(f)
	x.queryCompatible(f)
	enc := cborcodec.NewEncoder(nil)
	enc.Begin()
	enc.Field("__type", f.FaultCode())
	if v, ok := f.(shape.Structure); ok {
		errorMembers(f, v, enc, nil)
	} else if f.FaultMessage() != "" {
		enc.Field("message", f.FaultMessage())
	}
	enc.End()
	_ = x.write(x.faultStatus(f), cborType, enc.Bytes())
}
