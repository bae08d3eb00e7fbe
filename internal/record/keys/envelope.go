package keys

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"
)

// An envelope, in the order of its bytes: the form; a name of the key's material; a keyed digest of
// what is inside, so that equal settings are known as such; a data key of its own, wrapped by the key; and
// what that data key has encrypted. Both are AES-256-GCM with the function's ARN as associated data.
const (
	form        = 1
	nameBytes   = 8
	digestBytes = sha256.Size
	headBytes   = 1 + nameBytes + digestBytes
	nonceBytes  = 12
	tagBytes    = 16
	wrapBytes   = nonceBytes + keyBytes + tagBytes
)

// Seal encrypts a function's variables with a key, "" for lambdad's own.
func (r *Ring) Seal(keyARN, functionARN string, variables map[string]string) ([]byte, error) {
	key, err := r.material(keyARN, accountOf(functionARN))
	if err != nil {
		return nil, err
	}
	if variables == nil {
		variables = map[string]string{}
	}
	plain, err := json.Marshal(variables)
	if err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	bound := []byte(functionARN)
	data := newKey()
	out := make([]byte, 0, headBytes+wrapBytes+nonceBytes+len(plain)+tagBytes)
	out = append(out, form)
	out = append(out, nameOf(key)...)
	out = append(out, derived(key, "digest", functionARN, string(plain))...)
	out = encrypt(out, key, bound, data)
	return encrypt(out, data, bound, plain), nil
}

// Unseal is the inverse of Seal, with the same key and function.
func (r *Ring) Unseal(keyARN, functionARN string, sealed []byte) (map[string]string, error) {
	key, err := r.material(keyARN, accountOf(functionARN))
	if err != nil {
		return nil, err
	}
	if len(sealed) < headBytes+wrapBytes+nonceBytes+tagBytes || sealed[0] != form {
		return nil, fmt.Errorf("the variables of %s are in no known form: %w", functionARN, ErrDenied)
	}
	if !bytes.Equal(sealed[1:1+nameBytes], nameOf(key)) {
		return nil, fmt.Errorf("the variables of %s were sealed with another key: %w", functionARN, ErrDenied)
	}
	bound := []byte(functionARN)
	data, ok := decrypt(key, bound, sealed[headBytes:headBytes+wrapBytes])
	if !ok {
		return nil, fmt.Errorf("the data key of %s does not open: %w", functionARN, ErrDenied)
	}
	plain, ok := decrypt(data, bound, sealed[headBytes+wrapBytes:])
	if !ok {
		return nil, fmt.Errorf("the variables of %s do not open: %w", functionARN, ErrDenied)
	}
	variables := map[string]string{}
	if err := json.Unmarshal(plain, &variables); err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	return variables, nil
}

func encrypt(out, key, bound, plain []byte) []byte {
	nonce := make([]byte, nonceBytes)
	rand.Read(nonce)
	return aead(key).Seal(append(out, nonce...), nonce, plain, bound)
}

func decrypt(key, bound, sealed []byte) ([]byte, bool) {
	plain, err := aead(key).Open(nil, sealed[:nonceBytes], sealed[nonceBytes:], bound)
	return plain, err == nil
}

func aead(key []byte) cipher.AEAD {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic("aes refuses a key of 32 bytes: " + err.Error())
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		panic("aes-gcm refuses an aes block: " + err.Error())
	}
	return gcm
}

// nameOf tells keys apart and tells nothing of them.
func nameOf(key []byte) []byte { return derived(key, "name")[:nameBytes] }

// derived is a keyed hash; each part is told apart from the next by its length.
func derived(key []byte, parts ...string) []byte {
	h := hmac.New(sha256.New, key)
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	return h.Sum(nil)
}

// accountOf is the account of a function's ARN.
func accountOf(arn string) string {
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) < 6 {
		return ""
	}
	return parts[4]
}
