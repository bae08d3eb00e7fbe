package iam

import (
	"testing"
	"time"

	"github.com/lambdad/lambdad/internal/iam"
	"github.com/lambdad/lambdad/internal/wire"
)

func TestExpired(t *testing.T) {
	now := time.Date(2026, 1, 31, 0, 0, 0, 0, time.UTC)
	l := &iam.LoginProfile{Changed: now.AddDate(0, 0, -30)}
	for _, test := range []struct {
		rules *iam.PasswordPolicy
		want  bool
	}{
		{nil, false},
		{&iam.PasswordPolicy{MaxAgeDays: 29}, false},
		{&iam.PasswordPolicy{HardExpiry: wire.Ptr(true)}, false},
		{&iam.PasswordPolicy{MaxAgeDays: 29, HardExpiry: wire.Ptr(false)}, false},
		{&iam.PasswordPolicy{MaxAgeDays: 30, HardExpiry: wire.Ptr(true)}, false},
		{&iam.PasswordPolicy{MaxAgeDays: 29, HardExpiry: wire.Ptr(true)}, true},
	} {
		if got := expired(l, test.rules, now); got != test.want {
			t.Errorf("%+v: %v", test.rules, got)
		}
	}
}
