package lambda

import (
	"fmt"
	"strings"

	api "github.com/lambdad/lambdad/internal/api/lambda"
)

const vpcIDBytesMax = 1024

// unenforced are settings that nothing here would act on. Storing them would
// promise what is not kept, so all but their neutral forms are refused: with AWS's own
// error where what they name cannot exist here, with a plain one elsewhere.
type unenforced struct {
	VpcConfig              *api.VpcConfig
	FileSystemConfigs      []api.FileSystemConfig
	CapacityProviderConfig *api.CapacityProviderConfig
	DurableConfig          *api.DurableConfig
	PublishTo              *string
}

func (u *unenforced) check() error {
	if v := u.VpcConfig; v != nil {
		if err := checkVpcIDs(v); err != nil {
			return err
		}
		// Recorded: test_invalid_vpc_config_subnet, test_invalid_vpc_config_security_group.
		if len(v.SubnetIds) > 0 {
			return invalid("Error occurred while DescribeSubnets. EC2 Error Code: InvalidSubnetID.NotFound. EC2 Error Message: The subnet ID '%s' does not exist", v.SubnetIds[0])
		}
		if len(v.SecurityGroupIds) > 0 {
			return invalid("Error occurred while DescribeSecurityGroups. EC2 Error Code: InvalidGroup.NotFound. EC2 Error Message: The security group '%s' does not exist", v.SecurityGroupIds[0])
		}
		if value(v.Ipv6AllowedForDualStack) {
			return refused("VpcConfig.Ipv6AllowedForDualStack")
		}
	}
	switch {
	case len(u.FileSystemConfigs) > 0:
		return refused("FileSystemConfigs")
	case u.CapacityProviderConfig != nil:
		return refused("CapacityProviderConfig")
	case u.DurableConfig != nil:
		return refused("DurableConfig")
	case value(u.PublishTo) != "":
		return noPublishTo()
	}
	return nil
}

// checkVpcIDs holds the constraints that AWS enforces and the pinned model does not carry
// (recorded: test_invalid_vpc_config_subnet, test_invalid_vpc_config_security_group).
func checkVpcIDs(v *api.VpcConfig) error {
	for _, list := range []struct {
		member, pattern, prefix string
		upper                   bool
		ids                     []string
	}{
		{"vpcConfig.subnetIds", "subnet-[0-9a-z]*", "subnet-", false, v.SubnetIds},
		{"vpcConfig.securityGroupIds", "sg-[0-9a-zA-Z]*", "sg-", true, v.SecurityGroupIds},
	} {
		for _, id := range list.ids {
			rest, ok := strings.CutPrefix(id, list.prefix)
			if !ok || len(id) > vpcIDBytesMax || !alphanumeric(rest, list.upper) {
				return constraint("["+strings.Join(list.ids, ", ")+"]", list.member, fmt.Sprintf("Member must satisfy constraint: "+
					"[Member must have length less than or equal to %d, Member must have length greater than or equal to 0, "+
					"Member must satisfy regular expression pattern: %s]", vpcIDBytesMax, list.pattern))
			}
		}
	}
	return nil
}

func alphanumeric(s string, upper bool) bool {
	for i := range len(s) {
		c := s[i]
		if !(c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || upper && c >= 'A' && c <= 'Z') {
			return false
		}
	}
	return true
}

// noPublishTo refuses LATEST_PUBLISHED, the only value: it makes a version that only functions on capacity providers
// have. Source: Lambda developer guide, "$LATEST.PUBLISHED version in Lambda Managed Instances".
func noPublishTo() error {
	return invalid("PublishTo LATEST_PUBLISHED is only supported for functions with a CapacityProviderConfig.")
}

func refused(setting string) error {
	return invalid("%s is not supported here: lambdad does not enforce it yet, and does not accept what it does not enforce. Remove it from the request.", setting)
}
