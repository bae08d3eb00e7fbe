package lambda

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"

	api "github.com/lambdad/lambdad/internal/api/lambda"
	"github.com/lambdad/lambdad/internal/artifact"
	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/wire"
)

// requestBytesMax is the largest request with code in it (recorded:
// test_oversized_request_create_lambda).
const requestBytesMax = 70167211

// codeSource is where a request says that code is: FunctionCode, or the same
// members of UpdateFunctionCodeRequest.
type codeSource struct {
	operation string
	zip       []byte
	s3        bool
	imageURI  string
	kmsKey    string
}

// take stores the package that a source names, or only inspects it.
func (c *Control) take(ctx context.Context, src codeSource, store bool) (artifact.Zip, error) {
	switch {
	case src.kmsKey != "":
		return artifact.Zip{}, refused("SourceKMSKeyArn")
	case src.zip != nil && (src.s3 || src.imageURI != ""):
		return artifact.Zip{}, invalid("Please do not provide other FunctionCode parameters when providing a ZipFile.")
	case src.s3:
		// There is no S3 here yet, so no bucket exists. The text is recorded:
		// test_lambda_code_location_s3_errors.
		return artifact.Zip{}, invalid("Error occurred while GetObject. S3 Error Code: NoSuchBucket. S3 Error Message: The specified bucket does not exist")
	case src.zip == nil:
		return artifact.Zip{}, invalid("Please provide a source for function code.")
	case len(src.zip) == 0:
		return artifact.Zip{}, invalid("Uploaded file must be a non-empty zip")
	case base64.StdEncoding.EncodedLen(len(src.zip)) >= requestBytesMax:
		return artifact.Zip{}, tooLarge("Request must be smaller than %d bytes for the %s operation", requestBytesMax, src.operation)
	}
	put := c.artifacts.InspectZip
	if store {
		put = c.artifacts.PutZip
	}
	z, err := put(ctx, bytes.NewReader(src.zip))
	return z, codeFault(err)
}

// tooLarge is RequestEntityTooLargeException as AWS answers it: without the Type that
// other errors carry (recorded).
func tooLarge(format string, args ...any) error {
	return wire.NewFault(413, "RequestEntityTooLargeException", format, args...)
}

func codeFault(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, artifact.ErrEmpty):
		return invalid("Uploaded file must be a non-empty zip")
	case errors.Is(err, artifact.ErrZipTooLarge):
		return tooLarge("Zipped size must be smaller than %d bytes", artifact.ZipBytesMax)
	case errors.Is(err, artifact.ErrTooLarge):
		return invalid("Unzipped size must be smaller than %d bytes", artifact.UnzippedBytesMax)
	case errors.Is(err, artifact.ErrNotZip), errors.Is(err, artifact.ErrUnsafe), errors.Is(err, artifact.ErrTooMany):
		return invalid("Could not unzip uploaded file. Please check your file, then try to upload again.")
	default:
		return fault(err)
	}
}

func setCode(f *record.Function, z artifact.Zip) {
	f.Artifact = string(z.Digest)
	f.CodeSHA256 = z.Digest.Base64()
	f.CodeBytes = z.Bytes
	f.UnzippedBytes = z.UnzippedBytes
}

// checkCodeQuota refuses code beyond what an account may store. It counts in
// the view, which may be a moment late: the quota is a bound, not a promise to the byte.
func (c *Control) checkCodeQuota(id record.FunctionID, more int64) error {
	total := more
	c.functions.Each(func(f *record.Function) bool {
		if f.ID.Account == id.Account && f.ID.Region == id.Region {
			total += f.CodeBytes
		}
		return true
	})
	if total > c.limits.TotalCodeBytes {
		return api.NewCodeStorageExceededException("Code storage limit exceeded.")
	}
	return nil
}
