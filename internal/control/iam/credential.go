package iam

import (
	"context"
	"slices"
	"strconv"
	"strings"

	api "github.com/lambdad/lambdad/internal/api/iam"
	"github.com/lambdad/lambdad/internal/iam"
	"github.com/lambdad/lambdad/internal/store"
	"github.com/lambdad/lambdad/internal/wire"
)

// serviceCredentialsMax is AWS's quota of credentials of a user for one service.
const serviceCredentialsMax = 2

// checkCredentialService refuses services that such credentials do not exist for, as recorded
// (Bedrock and CloudWatch Logs take API keys, another kind of credential).
func checkCredentialService(name string) error {
	switch name {
	case "codecommit.amazonaws.com", "cassandra.amazonaws.com":
		return nil
	}
	return noSuch("No such service %s is supported for Service Specific Credentials", name)
}

func (c *Control) credentials(h *api.Handlers) {
	h.CreateServiceSpecificCredential, h.UpdateServiceSpecificCredential = c.createCredential, c.updateCredential
	h.ResetServiceSpecificCredential, h.DeleteServiceSpecificCredential = c.resetCredential, c.deleteCredential
	h.ListServiceSpecificCredentials = c.listCredentials
}

func credentialStatus(v *iam.ServiceCredential) string {
	if v.Active {
		return statusActive
	}
	return statusInactive
}

func credentialShape(u *iam.User, v *iam.ServiceCredential, password string) *api.ServiceSpecificCredential {
	return &api.ServiceSpecificCredential{
		CreateDate: &v.Created, ServiceName: &v.Service, ServiceUserName: &v.UserName, ServicePassword: &password,
		ServiceSpecificCredentialId: &v.ID, UserName: &u.Name, Status: wire.Ptr(credentialStatus(v)),
	}
}

func (c *Control) createCredential(ctx context.Context, call *wire.Call, in *api.CreateServiceSpecificCredentialRequest) (*api.CreateServiceSpecificCredentialResponse, error) {
	service := text(in.ServiceName)
	var out *api.ServiceSpecificCredential
	err := c.changeCredentials(ctx, call, in.UserName, func(u *iam.User) error {
		if err := checkCredentialService(service); err != nil {
			return err
		}
		if in.CredentialAgeDays != nil {
			return invalid("CredentialAgeDays is not supported for %s", service)
		}
		n := 0
		for i := range u.Credentials {
			if u.Credentials[i].Service == service {
				n++
			}
		}
		if n >= serviceCredentialsMax {
			return exceeded("Cannot exceed quota for ServiceSpecificCredentialsPerUser: %d", serviceCredentialsMax)
		}
		id, password := iam.NewUniqueID(iam.PrefixServiceCredential), iam.NewPassword()
		v := iam.ServiceCredential{ID: id, Service: service, UserName: credentialUserName(u, service), Active: true, Created: c.now(),
			Sealed: c.auth.SealPassword(id, password)}
		u.Credentials = append(u.Credentials, v)
		out = credentialShape(u, &v, password)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &api.CreateServiceSpecificCredentialResponse{ServiceSpecificCredential: out}, nil
}

// credentialUserName is NAME-at-ACCOUNT; the second one for a service is NAME+1-at-ACCOUNT.
func credentialUserName(u *iam.User, service string) string {
	for n := 0; ; n++ {
		name := u.Name
		if n > 0 {
			name += "+" + strconv.Itoa(n)
		}
		name += "-at-" + string(u.Account)
		if !slices.ContainsFunc(u.Credentials, func(v iam.ServiceCredential) bool { return v.Service == service && v.UserName == name }) {
			return name
		}
	}
}

func (c *Control) changeCredentials(ctx context.Context, call *wire.Call, given *string, f func(*iam.User) error) error {
	name, err := userNameOf(call, given)
	if err != nil {
		return err
	}
	return change(ctx, c, func(ctx context.Context) (iam.Stored[iam.User], string, error) {
		return c.findUser(ctx, call.Account, name)
	}, func(u *iam.User) ([]store.Write, error) { return nil, f(u) })
}

// ownCredential finds a credential of the user.
func ownCredential(u *iam.User, id *string) (*iam.ServiceCredential, error) {
	for i := range u.Credentials {
		if u.Credentials[i].ID == text(id) {
			return &u.Credentials[i], nil
		}
	}
	return nil, noSuch("No such credential %s exists", text(id))
}

func (c *Control) updateCredential(ctx context.Context, call *wire.Call, in *api.UpdateServiceSpecificCredentialRequest) error {
	return c.changeCredentials(ctx, call, in.UserName, func(u *iam.User) error {
		v, err := ownCredential(u, in.ServiceSpecificCredentialId)
		if err != nil {
			return err
		}
		switch text(in.Status) {
		case statusActive, statusInactive:
			v.Active = *in.Status == statusActive
			return nil
		}
		return invalid("Invalid status %s", text(in.Status))
	})
}

func (c *Control) resetCredential(ctx context.Context, call *wire.Call, in *api.ResetServiceSpecificCredentialRequest) (*api.ResetServiceSpecificCredentialResponse, error) {
	var out *api.ServiceSpecificCredential
	err := c.changeCredentials(ctx, call, in.UserName, func(u *iam.User) error {
		v, err := ownCredential(u, in.ServiceSpecificCredentialId)
		if err != nil {
			return err
		}
		password := iam.NewPassword()
		v.Sealed = c.auth.SealPassword(v.ID, password)
		out = credentialShape(u, v, password)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &api.ResetServiceSpecificCredentialResponse{ServiceSpecificCredential: out}, nil
}

func (c *Control) deleteCredential(ctx context.Context, call *wire.Call, in *api.DeleteServiceSpecificCredentialRequest) error {
	return c.changeCredentials(ctx, call, in.UserName, func(u *iam.User) error {
		v, err := ownCredential(u, in.ServiceSpecificCredentialId)
		if err != nil {
			return err
		}
		id := v.ID
		u.Credentials = slices.DeleteFunc(u.Credentials, func(o iam.ServiceCredential) bool { return o.ID == id })
		return nil
	})
}

func (c *Control) listCredentials(ctx context.Context, call *wire.Call, in *api.ListServiceSpecificCredentialsRequest) (*api.ListServiceSpecificCredentialsResponse, error) {
	var users []*iam.User
	if in.AllUsers != nil && *in.AllUsers {
		var err error
		if users, err = all(ctx, c, iam.KindUser, call.Account, func(u *iam.User) string { return u.Name }); err != nil {
			return nil, err
		}
	} else {
		name, err := userNameOf(call, in.UserName)
		if err != nil {
			return nil, err
		}
		u, _, err := c.findUser(ctx, call.Account, name)
		if err != nil {
			return nil, err
		}
		users = []*iam.User{u.Value}
	}
	if in.ServiceName != nil { // the model has the fault for lists, too
		if err := checkCredentialService(*in.ServiceName); err != nil {
			return nil, err
		}
	}
	items := []api.ServiceSpecificCredentialMetadata{}
	for _, u := range users {
		for i := range u.Credentials {
			v := &u.Credentials[i]
			if in.ServiceName != nil && *in.ServiceName != v.Service {
				continue
			}
			items = append(items, api.ServiceSpecificCredentialMetadata{
				UserName: &u.Name, Status: wire.Ptr(credentialStatus(v)), ServiceUserName: &v.UserName, CreateDate: &v.Created,
				ServiceSpecificCredentialId: &v.ID, ServiceName: &v.Service,
			})
		}
	}
	slices.SortFunc(items, func(a, b api.ServiceSpecificCredentialMetadata) int {
		return strings.Compare(*a.ServiceSpecificCredentialId, *b.ServiceSpecificCredentialId)
	})
	p, err := pageSorted(items, in.Marker, in.MaxItems, func(v api.ServiceSpecificCredentialMetadata) string { return *v.ServiceSpecificCredentialId })
	if err != nil {
		return nil, err
	}
	out := &api.ListServiceSpecificCredentialsResponse{ServiceSpecificCredentials: p.items, Marker: p.marker}
	if p.marker != nil {
		out.IsTruncated = p.truncated // left out of a whole list, as recorded
	}
	return out, nil
}
