package iam

import (
	"context"

	api "github.com/lambdad/lambdad/internal/api/iam"
	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/iam"
	"github.com/lambdad/lambdad/internal/store"
	"github.com/lambdad/lambdad/internal/wire"
)

func (c *Control) logins(h *api.Handlers) {
	h.CreateLoginProfile, h.GetLoginProfile = c.createLogin, c.getLogin
	h.UpdateLoginProfile, h.DeleteLoginProfile, h.ChangePassword = c.updateLogin, c.deleteLogin, c.changePassword
	h.GetAccountPasswordPolicy, h.UpdateAccountPasswordPolicy = c.getPasswordPolicy, c.updatePasswordPolicy
	h.DeleteAccountPasswordPolicy = c.deletePasswordPolicy
}

func loginShape(u *iam.User) *api.LoginProfile {
	return &api.LoginProfile{UserName: &u.Name, CreateDate: &u.Login.Created, PasswordResetRequired: &u.Login.ResetRequired}
}

// changeLogin runs a transaction on a user with a password; rules are those of the account.
func (c *Control) changeLogin(ctx context.Context, call *wire.Call, given *string, f func(*iam.User, *iam.PasswordPolicy) error) error {
	name, err := userNameOf(call, given)
	if err != nil {
		return err
	}
	return change(ctx, c, func(ctx context.Context) (iam.Stored[iam.User], string, error) {
		return c.findUser(ctx, call.Account, name)
	}, func(u *iam.User) ([]store.Write, error) {
		s, _, err := c.settings(ctx, call.Account)
		if err != nil {
			return nil, err
		}
		return nil, f(u, s.Passwords)
	})
}

func noLogin(u *iam.User) error { return noSuch("Login Profile for User %s cannot be found.", u.Name) }

func (c *Control) createLogin(ctx context.Context, call *wire.Call, in *api.CreateLoginProfileRequest) (*api.CreateLoginProfileResponse, error) {
	if text(in.Password) == "" {
		return nil, invalid("Must specify password")
	}
	var out *api.LoginProfile
	err := c.changeLogin(ctx, call, in.UserName, func(u *iam.User, rules *iam.PasswordPolicy) error {
		if u.Login != nil {
			return taken("Login Profile for user %s already exists.", u.Name)
		}
		u.Login = &iam.LoginProfile{Created: c.now(), ResetRequired: in.PasswordResetRequired != nil && *in.PasswordResetRequired}
		if err := c.setPassword(u, rules, *in.Password); err != nil {
			return err
		}
		out = loginShape(u)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &api.CreateLoginProfileResponse{LoginProfile: out}, nil
}

func (c *Control) getLogin(ctx context.Context, call *wire.Call, in *api.GetLoginProfileRequest) (*api.GetLoginProfileResponse, error) {
	name, err := userNameOf(call, in.UserName)
	if err != nil {
		return nil, err
	}
	u, _, err := c.findUser(ctx, call.Account, name)
	if err != nil {
		return nil, err
	}
	if u.Value.Login == nil {
		return nil, noLogin(u.Value)
	}
	return &api.GetLoginProfileResponse{LoginProfile: loginShape(u.Value)}, nil
}

func (c *Control) updateLogin(ctx context.Context, call *wire.Call, in *api.UpdateLoginProfileRequest) error {
	return c.changeLogin(ctx, call, in.UserName, func(u *iam.User, rules *iam.PasswordPolicy) error {
		if u.Login == nil {
			return noLogin(u)
		}
		if in.PasswordResetRequired != nil {
			u.Login.ResetRequired = *in.PasswordResetRequired
		}
		if in.Password == nil {
			return nil
		}
		return c.setPassword(u, rules, *in.Password)
	})
}

func (c *Control) deleteLogin(ctx context.Context, call *wire.Call, in *api.DeleteLoginProfileRequest) error {
	return c.changeLogin(ctx, call, in.UserName, func(u *iam.User, _ *iam.PasswordPolicy) error {
		if u.Login == nil {
			return noLogin(u)
		}
		u.Login = nil
		return nil
	})
}

// changePassword is a user's own; nobody else has a password.
func (c *Control) changePassword(ctx context.Context, call *wire.Call, in *api.ChangePasswordRequest) error {
	if call.Principal.Type != aws.PrincipalUser {
		return api.NewInvalidUserTypeException("Only IAM Users can change their own password")
	}
	return c.changeLogin(ctx, call, nil, func(u *iam.User, rules *iam.PasswordPolicy) error {
		if u.Login == nil {
			return noLogin(u)
		}
		if !c.auth.IsLogin(u.ID, u.Login.Sealed, text(in.OldPassword)) {
			return wire.NewFault(403, "AccessDenied", "The old password was incorrect.")
		}
		if expired(u.Login, rules, c.now()) {
			return wire.NewFault(403, "AccessDenied", "The password has expired. Only an administrator can set a new one.")
		}
		u.Login.ResetRequired = false
		return c.setPassword(u, rules, text(in.NewPassword))
	})
}
