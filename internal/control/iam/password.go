package iam

import (
	"context"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	api "github.com/lambdad/lambdad/internal/api/iam"
	"github.com/lambdad/lambdad/internal/iam"
	"github.com/lambdad/lambdad/internal/store"
	"github.com/lambdad/lambdad/internal/wire"
)

// Rules for passwords. Source: IAM user guide, "Set an account password policy for IAM users".
const (
	passwordLengthDefault = 8 // where the account has no policy
	passwordKindsDefault  = 3 // of the four kinds of characters
	policyLengthDefault   = 6 // where a policy names no length
	passwordsKeptMax      = 24
	passwordSymbols       = "!@#$%^&*()_+-=[]{}|'"
)

// characterKinds says which kinds of characters a password has.
type characterKinds struct{ upper, lower, number, symbol bool }

func kindsOf(password string) (k characterKinds) {
	for i := range len(password) {
		switch ch := password[i]; {
		case 'A' <= ch && ch <= 'Z':
			k.upper = true
		case 'a' <= ch && ch <= 'z':
			k.lower = true
		case '0' <= ch && ch <= '9':
			k.number = true
		case strings.IndexByte(passwordSymbols, ch) >= 0:
			k.symbol = true
		}
	}
	return k
}

func (k characterKinds) count() (n int) {
	for _, has := range []bool{k.upper, k.lower, k.number, k.symbol} {
		if has {
			n++
		}
	}
	return n
}

// checkPassword holds a password against an account's rules, nil for AWS's default ones.
func checkPassword(rules *iam.PasswordPolicy, password string) error {
	violation := func(format string, args ...any) error {
		return api.NewPasswordPolicyViolationException(fmt.Sprintf(format, args...))
	}
	k, length := kindsOf(password), utf8.RuneCountInString(password)
	if rules == nil {
		if length < passwordLengthDefault || k.count() < passwordKindsDefault {
			return violation("Password does not conform to the account password policy.")
		}
		return nil
	}
	switch {
	case length < int(rules.MinimumLength):
		return violation("Password should have a minimum length of %d", rules.MinimumLength)
	case rules.Uppercase && !k.upper:
		return violation("Password should have at least one uppercase letter")
	case rules.Lowercase && !k.lower:
		return violation("Password should have at least one lowercase letter")
	case rules.Numbers && !k.number:
		return violation("Password should have at least one number")
	case rules.Symbols && !k.symbol:
		return violation("Password should have at least one symbol")
	}
	return nil
}

// setPassword gives a user a password that the rules allow, and remembers the one before it.
func (c *Control) setPassword(u *iam.User, rules *iam.PasswordPolicy, password string) error {
	if err := checkPassword(rules, password); err != nil {
		return err
	}
	l := u.Login
	known := l.Earlier
	if l.Sealed != nil {
		known = append([][]byte{l.Sealed}, known...)
	}
	if rules != nil {
		for i, sealed := range known {
			if i < int(rules.Reuse) && c.auth.IsLogin(u.ID, sealed, password) {
				return api.NewPasswordPolicyViolationException("Password cannot be one of the previously used passwords")
			}
		}
	}
	l.Earlier = known[:min(len(known), passwordsKeptMax)]
	l.Sealed, l.Changed = c.auth.SealLogin(u.ID, password), c.now()
	return nil
}

// expired says that a user can change a password no more: it is too old, and the expiry is hard.
func expired(l *iam.LoginProfile, rules *iam.PasswordPolicy, now time.Time) bool {
	return rules != nil && rules.MaxAgeDays > 0 && rules.HardExpiry != nil && *rules.HardExpiry &&
		now.After(l.Changed.Add(time.Duration(rules.MaxAgeDays)*24*time.Hour))
}

func (c *Control) getPasswordPolicy(ctx context.Context, call *wire.Call, _ *api.GetAccountPasswordPolicyInput) (*api.GetAccountPasswordPolicyResponse, error) {
	s, _, err := c.settings(ctx, call.Account)
	if err != nil {
		return nil, err
	}
	p := s.Passwords
	if p == nil {
		return nil, noSuch("The Password Policy with domain name %s cannot be found.", call.Account)
	}
	expires := p.MaxAgeDays > 0
	return &api.GetAccountPasswordPolicyResponse{PasswordPolicy: &api.PasswordPolicy{
		MinimumPasswordLength: &p.MinimumLength, RequireSymbols: &p.Symbols, RequireNumbers: &p.Numbers,
		RequireUppercaseCharacters: &p.Uppercase, RequireLowercaseCharacters: &p.Lowercase, AllowUsersToChangePassword: &p.UsersChange,
		ExpirePasswords: &expires, MaxPasswordAge: notZero(p.MaxAgeDays), PasswordReusePrevention: notZero(p.Reuse), HardExpiry: p.HardExpiry,
	}}, nil
}

// updatePasswordPolicy sets all of a policy: what a request leaves out goes back to its default.
func (c *Control) updatePasswordPolicy(ctx context.Context, call *wire.Call, in *api.UpdateAccountPasswordPolicyRequest) error {
	is := func(p *bool) bool { return p != nil && *p }
	number := func(p *int32) int32 {
		if p == nil {
			return 0
		}
		return *p
	}
	p := &iam.PasswordPolicy{
		MinimumLength: number(in.MinimumPasswordLength), Symbols: is(in.RequireSymbols), Numbers: is(in.RequireNumbers),
		Uppercase: is(in.RequireUppercaseCharacters), Lowercase: is(in.RequireLowercaseCharacters), UsersChange: is(in.AllowUsersToChangePassword),
		MaxAgeDays: number(in.MaxPasswordAge), Reuse: number(in.PasswordReusePrevention), HardExpiry: in.HardExpiry,
	}
	if p.MinimumLength == 0 {
		p.MinimumLength = policyLengthDefault
	}
	return c.changeSettings(ctx, call.Account, func(_ context.Context, s *iam.Settings) ([]store.Write, error) {
		s.Passwords = p
		return nil, nil
	})
}

func (c *Control) deletePasswordPolicy(ctx context.Context, call *wire.Call, _ *api.DeleteAccountPasswordPolicyInput) error {
	return c.changeSettings(ctx, call.Account, func(_ context.Context, s *iam.Settings) ([]store.Write, error) {
		if s.Passwords == nil {
			return nil, noSuch("The account policy with name PasswordPolicy cannot be found.")
		}
		s.Passwords = nil
		return nil, nil
	})
}

func notZero(n int32) *int32 {
	if n == 0 {
		return nil
	}
	return &n
}
