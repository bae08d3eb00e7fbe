package lambda

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"time"

	api "github.com/lambdad/lambdad/internal/api/lambda"
	"github.com/lambdad/lambdad/internal/artifact"
	"github.com/lambdad/lambdad/internal/artifact/signature"
	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/store"
	"github.com/lambdad/lambdad/internal/wire"
)

// Signatures knows publishers. signature.Profiles is one.
type Signatures interface {
	// Verify tells which of the publishers signed an archive; else signature's error kinds.
	Verify(archive io.ReaderAt, size, unzippedMax int64, publishers []string, now time.Time) (string, error)
	// Publishers are all that are known.
	Publishers() []string
}

func signingKey(id record.FunctionID) record.Qualified {
	return record.Qualified{ID: id, Qualifier: record.Latest}
}

func (c *Control) putFunctionCodeSigningConfig(ctx context.Context, call *wire.Call, in *api.PutFunctionCodeSigningConfigRequest) (*api.PutFunctionCodeSigningConfigResponse, error) {
	n, err := c.namedLatest(call, in.FunctionName)
	if err != nil {
		return nil, err
	}
	// A config that is not there is told before a function that is not (recorded: put_function_csc_invalid_both).
	for range commitAttemptsMax {
		held, err := c.signingFor(ctx, call, value(in.CodeSigningConfigArn))
		if err != nil {
			return nil, err
		}
		f, err := c.read(ctx, n)
		if err != nil {
			return nil, err
		}
		if f.Image != nil {
			return nil, invalid("Code signing configurations are not supported for functions with container images.")
		}
		writes, err := putFunctionSigning(n.ID, held)
		if err != nil {
			return nil, err
		}
		there := store.Write{Kind: store.WriteCheck, Key: record.FunctionKey(f.ID, f.Version), If: store.IfExists()}
		if _, err = c.table.Commit(ctx, append(writes, there)...); err == nil {
			return &api.PutFunctionCodeSigningConfigResponse{CodeSigningConfigArn: in.CodeSigningConfigArn, FunctionName: &n.ID.Name}, nil
		} else if !errors.Is(err, store.ErrConflict) {
			return nil, fault(err)
		}
	}
	return nil, updateInProgress(n.ID)
}

// putFunctionSigning gives a function a config. The config is written again, so that its deletion meanwhile
// and this exclude each other.
func putFunctionSigning(id record.FunctionID, held record.Held[record.Scoped, record.CodeSigningConfig]) ([]store.Write, error) {
	same, err := record.CodeSigningConfigs.Put(held.Key, held.Value, store.IfRevision(held.Revision))
	if err != nil {
		return nil, err
	}
	put, err := record.FunctionCodeSignings.Put(signingKey(id), &record.FunctionCodeSigning{ARN: record.CodeSigningARN(held.Key)}, store.Unconditional())
	if err != nil {
		return nil, err
	}
	return []store.Write{same, put}, nil
}

// createSigning gives a function that is being made its config, and judges its code.
func (c *Control) createSigning(ctx context.Context, call *wire.Call, f *record.Function, in *api.CreateFunctionRequest) ([]store.Write, error) {
	if value(in.CodeSigningConfigArn) == "" {
		return nil, nil
	}
	if f.Image != nil {
		return nil, invalid("Code signing configurations are not supported for functions with container images.")
	}
	held, err := c.signingFor(ctx, call, *in.CodeSigningConfigArn)
	if err != nil {
		return nil, err
	}
	if in.Code.ZipFile != nil {
		// Only an archive within the bounds is read for its signature.
		if _, err := c.artifacts.InspectZip(ctx, bytes.NewReader(in.Code.ZipFile)); err != nil {
			return nil, codeFault(err)
		}
		if err := c.checkSignedZip(held.Value, f.ID, in.Code.ZipFile); err != nil {
			return nil, err
		}
	}
	if err := c.checkSignedLayers(held.Value, f.ID, f.Layers); err != nil {
		return nil, err
	}
	return putFunctionSigning(f.ID, held)
}

// signingFor reads a config that a function is to have.
func (c *Control) signingFor(ctx context.Context, call *wire.Call, arn string) (record.Held[record.Scoped, record.CodeSigningConfig], error) {
	held, err := c.signingAt(ctx, call, arn)
	var missing *api.ResourceNotFoundException
	if errors.As(err, &missing) {
		// Recorded: test_code_signing_not_found_excs.
		return held, api.NewCodeSigningConfigNotFoundException("The code signing configuration cannot be found. Check that the provided configuration is not deleted: " + arn + ".")
	}
	return held, err
}

// getFunctionCodeSigningConfig is empty, without even the name, for a function that has none (recorded:
// get_function_csc_fnwithoutcsc).
func (c *Control) getFunctionCodeSigningConfig(ctx context.Context, call *wire.Call, in *api.GetFunctionCodeSigningConfigRequest) (*api.GetFunctionCodeSigningConfigResponse, error) {
	n, err := c.namedLatest(call, in.FunctionName)
	if err != nil {
		return nil, err
	}
	if _, err := c.read(ctx, n); err != nil {
		return nil, err
	}
	held, err := record.FunctionCodeSignings.Get(ctx, c.records, signingKey(n.ID))
	if errors.Is(err, store.ErrNotFound) {
		return &api.GetFunctionCodeSigningConfigResponse{}, nil
	}
	if err != nil {
		return nil, fault(err)
	}
	return &api.GetFunctionCodeSigningConfigResponse{CodeSigningConfigArn: &held.Value.ARN, FunctionName: &n.ID.Name}, nil
}

func (c *Control) deleteFunctionCodeSigningConfig(ctx context.Context, call *wire.Call, in *api.DeleteFunctionCodeSigningConfigRequest) error {
	n, err := c.namedLatest(call, in.FunctionName)
	if err != nil {
		return err
	}
	if _, err := c.read(ctx, n); err != nil {
		return err
	}
	_, err = c.table.Commit(ctx, record.FunctionCodeSignings.Drop(signingKey(n.ID), store.Unconditional()))
	return fault(err)
}

// signingOf is the config of a function; nil for none.
func (c *Control) signingOf(ctx context.Context, id record.FunctionID) (*record.CodeSigningConfig, error) {
	has, err := record.FunctionCodeSignings.Get(ctx, c.records, signingKey(id))
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fault(err)
	}
	key, _ := record.ParseCodeSigningARN(has.Value.ARN)
	held, err := record.CodeSigningConfigs.Get(ctx, c.records, key)
	if err != nil {
		return nil, fault(err)
	}
	return held.Value, nil
}

// checkSigned judges a package that is about to be deployed. Source: Lambda developer guide, "Using code
// signing to verify code integrity": what was changed after it was signed is blocked always, the rest as the
// policy says.
func (c *Control) checkSigned(config *record.CodeSigningConfig, id record.FunctionID, archive io.ReaderAt, size int64) error {
	if config == nil {
		return nil
	}
	var verifier Signatures = signature.Profiles{}
	if c.signatures != nil {
		verifier = c.signatures
	}
	_, err := verifier.Verify(archive, size, artifact.UnzippedBytesMax, config.Publishers, c.now())
	switch {
	case err == nil:
		return nil
	case errors.Is(err, signature.ErrTampered):
		c.log.Info("a deployment is refused", "function", id.ARN(), "error", err)
		return api.NewInvalidCodeSignatureException("Lambda cannot deploy the function. The signed code failed the integrity check: " + reason(err) + ".")
	case config.Enforce:
		// The text is AWS's, as its users quote it.
		return api.NewCodeVerificationFailedException("Lambda cannot deploy the function. The function or layer might be signed using a signature that the client is not configured to accept. Check the provided signature for " + id.Name + ".")
	default:
		c.log.Warn("code is deployed whose signature is not trusted, because its code signing config only warns", "function", id.ARN(), "error", err)
		return nil
	}
}

// publisherOf is who signed a package, "" for nobody known: what functions and layers show as
// SigningProfileVersionArn, whether or not a code signing config asks for it. There are no signing jobs
// here, and so no SigningJobArn.
func (c *Control) publisherOf(zip []byte) string {
	if c.signatures == nil || len(c.signatures.Publishers()) == 0 {
		return ""
	}
	by, err := c.signatures.Verify(bytes.NewReader(zip), int64(len(zip)), artifact.UnzippedBytesMax, c.signatures.Publishers(), c.now())
	if err != nil {
		return ""
	}
	return by
}

// reason is an error of the signature's without its room.
func reason(err error) string { return strings.TrimPrefix(err.Error(), "signature: ") }

func (c *Control) checkSignedZip(config *record.CodeSigningConfig, id record.FunctionID, zip []byte) error {
	return c.checkSigned(config, id, bytes.NewReader(zip), int64(len(zip)))
}

// checkSignedLayers judges the layers that a function is given.
func (c *Control) checkSignedLayers(config *record.CodeSigningConfig, id record.FunctionID, layers []record.Layer) error {
	if config == nil {
		return nil
	}
	for _, l := range layers {
		f, size, err := c.artifacts.OpenZip(artifact.Digest(l.Artifact))
		if err != nil {
			return fault(err)
		}
		archive, ok := f.(io.ReaderAt)
		if !ok {
			archive = seekReader{f}
		}
		err = c.checkSigned(config, id, archive, size)
		_ = f.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// seekReader reads anywhere by seeking; one reader at a time.
type seekReader struct{ io.ReadSeeker }

func (r seekReader) ReadAt(p []byte, off int64) (int, error) {
	if _, err := r.Seek(off, io.SeekStart); err != nil {
		return 0, err
	}
	return io.ReadFull(r, p)
}
