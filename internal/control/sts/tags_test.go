package sts_test

import (
	"fmt"
	"strings"
	"testing"
)

func TestSessionTagsOfAWS(t *testing.T) {
	h := open(t)
	h.IAM("CreateRole", params{"RoleName": "r", "AssumeRolePolicyDocument": strings.Replace(trustAccount, `"sts:AssumeRole"`, `["sts:AssumeRole","sts:TagSession"]`, 1)})
	for key, want := range map[string]string{"aws:x": "InvalidParameterValue", "AWS:x": "InvalidParameterValue", "aws": "<nil>", "team": "<nil>"} {
		answer := h.STS("AssumeRole", params{"RoleArn": roleARN, "RoleSessionName": "session", "Tags.member.1.Key": key, "Tags.member.1.Value": "1"})
		fault, _ := answer["Error"].(object)
		if got := fmt.Sprint(fault["Code"]); got != want {
			t.Errorf("%s: %v, want %s", key, fault, want)
		}
	}
}
