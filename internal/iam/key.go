package iam

import (
	"strings"

	"github.com/lambdad/lambdad/internal/aws"
)

// Keys of the store. Names are unique without regard to case, as in AWS, so a
// key holds the name in lower case and the record the name as given.
//
//	iam/master
//	iam/account/ACCOUNT
//	iam/key/AKIA...
//	iam/use/AKIA...
//	iam/user|role|group|policy|profile/ACCOUNT/name
//	iam/deletion/ACCOUNT/TASK
//	iam/settings/ACCOUNT/account
//	iam/alias/ALIAS
const (
	storePrefix = "iam/"
	masterKey   = storePrefix + "master"
)

// Kind is one kind of record; its text is a part of the key.
type Kind string

const (
	KindAccount   Kind = "account"
	KindUser      Kind = "user"
	KindRole      Kind = "role"
	KindGroup     Kind = "group"
	KindPolicy    Kind = "policy"
	KindProfile   Kind = "profile"
	KindAccessKey Kind = "key"
	KindDeletion  Kind = "deletion"
	KindSettings  Kind = "settings"
	KindAlias     Kind = "alias"
	KindKeyUse    Kind = "use" // sorts behind KindAccessKey, so a load knows the key first
)

// Key is the store key of a named record of an account.
func Key(kind Kind, account aws.AccountID, name string) string {
	return Prefix(kind, account) + strings.ToLower(name)
}

// Prefix begins the keys of all records of a kind in an account.
func Prefix(kind Kind, account aws.AccountID) string {
	return storePrefix + string(kind) + "/" + string(account) + "/"
}

func accountKey(account aws.AccountID) string {
	return storePrefix + string(KindAccount) + "/" + string(account)
}

// AccessKeyKey is the store key of an access key; its id is global.
func AccessKeyKey(id string) string { return storePrefix + string(KindAccessKey) + "/" + id }

// SettingsKey is the store key of an account's settings.
func SettingsKey(account aws.AccountID) string { return Key(KindSettings, account, "account") }

// AliasKey is the store key of an account's alias, which no two accounts share.
func AliasKey(alias string) string { return storePrefix + string(KindAlias) + "/" + alias }

func keyUseKey(id string) string { return storePrefix + string(KindKeyUse) + "/" + id }
