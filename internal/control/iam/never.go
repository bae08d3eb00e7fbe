package iam

import (
	"context"

	api "github.com/lambdad/lambdad/internal/api/iam"
	"github.com/lambdad/lambdad/internal/wire"
)

// never answers for what an account here cannot have, because the operations
// that would make it are refused: MFA devices, SSH keys, certificates, identity
// providers. Clients look for them before they
// delete a user, and the true answer is that there are none.
func (c *Control) never(h *api.Handlers) {
	no := wire.Ptr(false)
	h.ListSSHPublicKeys = func(ctx context.Context, call *wire.Call, in *api.ListSSHPublicKeysRequest) (*api.ListSSHPublicKeysResponse, error) {
		if err := c.userThere(ctx, call, in.UserName); err != nil {
			return nil, err
		}
		return &api.ListSSHPublicKeysResponse{SSHPublicKeys: []api.SSHPublicKeyMetadata{}, IsTruncated: no}, nil
	}
	h.ListMFADevices = func(ctx context.Context, call *wire.Call, in *api.ListMFADevicesRequest) (*api.ListMFADevicesResponse, error) {
		if err := c.userThere(ctx, call, in.UserName); err != nil {
			return nil, err
		}
		return &api.ListMFADevicesResponse{MFADevices: []api.MFADevice{}, IsTruncated: no}, nil
	}
	h.ListSigningCertificates = func(ctx context.Context, call *wire.Call, in *api.ListSigningCertificatesRequest) (*api.ListSigningCertificatesResponse, error) {
		if err := c.userThere(ctx, call, in.UserName); err != nil {
			return nil, err
		}
		return &api.ListSigningCertificatesResponse{Certificates: []api.SigningCertificate{}, IsTruncated: no}, nil
	}
	h.ListVirtualMFADevices = func(context.Context, *wire.Call, *api.ListVirtualMFADevicesRequest) (*api.ListVirtualMFADevicesResponse, error) {
		return &api.ListVirtualMFADevicesResponse{VirtualMFADevices: []api.VirtualMFADevice{}, IsTruncated: no}, nil
	}
	h.ListServerCertificates = func(context.Context, *wire.Call, *api.ListServerCertificatesRequest) (*api.ListServerCertificatesResponse, error) {
		return &api.ListServerCertificatesResponse{ServerCertificateMetadataList: []api.ServerCertificateMetadata{}, IsTruncated: no}, nil
	}
	h.ListOpenIDConnectProviders = func(context.Context, *wire.Call, *api.ListOpenIDConnectProvidersRequest) (*api.ListOpenIDConnectProvidersResponse, error) {
		return &api.ListOpenIDConnectProvidersResponse{OpenIDConnectProviderList: []api.OpenIDConnectProviderListEntry{}}, nil
	}
	h.ListSAMLProviders = func(context.Context, *wire.Call, *api.ListSAMLProvidersRequest) (*api.ListSAMLProvidersResponse, error) {
		return &api.ListSAMLProvidersResponse{SAMLProviderList: []api.SAMLProviderListEntry{}}, nil
	}
}

// userThere checks that the user exists; without a name it is the caller.
func (c *Control) userThere(ctx context.Context, call *wire.Call, given *string) error {
	name, err := userNameOf(call, given)
	if err != nil {
		return err
	}
	_, _, err = c.findUser(ctx, call.Account, name)
	return err
}
