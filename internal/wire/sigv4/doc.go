// Package sigv4 owns AWS Signature Version 4: parsing what a request claims,
// verifying it, signing and presigning, and the aws-chunked streaming bodies.
// It must never import a room above level 1 nor look a key up itself: whose
// key it is belongs to iam, and keeping that out makes every step here pure.
package sigv4
