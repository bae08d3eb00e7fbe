terraform {
  required_providers {
    aws = { source = "hashicorp/aws" }
  }
}
provider "aws" {
  # Everything else comes from the environment.
  skip_metadata_api_check = true

  default_tags {
    tags = { team = "x" }
  }
}

variable "n" { default = 9 }
resource "aws_iam_account_alias" "a" { account_alias = "acct-${var.n}" }
resource "aws_iam_account_password_policy" "p" {
  minimum_password_length        = var.n
  require_numbers                = true
  allow_users_to_change_password = true
  password_reuse_prevention      = 3
  max_password_age               = 90
  hard_expiry                    = false
}
resource "aws_iam_service_linked_role" "s" {
  aws_service_name = "autoscaling.amazonaws.com"
  custom_suffix    = "tf"
  description      = "d${var.n}"
}
resource "aws_iam_service_linked_role" "b" { aws_service_name = "elasticbeanstalk.amazonaws.com" }
resource "aws_iam_user" "u" {
  name                 = "tfu"
  path                 = "/x/"
  permissions_boundary = "arn:aws:iam::aws:policy/ReadOnlyAccess"
  force_destroy        = true
}
resource "aws_iam_user_login_profile" "l" {
  user            = aws_iam_user.u.name
  password_length = 20
  depends_on      = [aws_iam_account_password_policy.p]
}
resource "aws_iam_access_key" "k" { user = aws_iam_user.u.name }
resource "aws_iam_group" "g" { name = "tfg" }
resource "aws_iam_user_group_membership" "m" {
  user   = aws_iam_user.u.name
  groups = [aws_iam_group.g.name]
}
resource "aws_iam_group_membership" "gm" {
  name  = "m"
  users = [aws_iam_user.u2.name]
  group = aws_iam_group.g2.name
}
resource "aws_iam_user" "u2" { name = "tfu2" }
resource "aws_iam_group" "g2" { name = "tfg2" }
resource "aws_iam_policy" "p" {
  name        = "tfp"
  description = "desc"
  policy      = data.aws_iam_policy_document.d.json
}
data "aws_iam_policy_document" "d" {
  statement {
    actions   = ["s3:*"]
    resources = ["arn:aws:s3:::b${var.n}/$${aws:username}"]
  }
}
data "aws_iam_policy_document" "t" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["ec2.amazonaws.com", "lambda.amazonaws.com"]
    }
  }
}
resource "aws_iam_role" "r" {
  name                 = "tfr"
  description          = "some ${var.n}"
  max_session_duration = 7200
  assume_role_policy   = data.aws_iam_policy_document.t.json
  permissions_boundary = "arn:aws:iam::aws:policy/PowerUserAccess"
}
resource "aws_iam_role_policies_exclusive" "e" {
  role_name    = aws_iam_role.r.name
  policy_names = [aws_iam_role_policy.rp.name]
}
resource "aws_iam_role_policy" "rp" {
  name   = "rp"
  role   = aws_iam_role.r.id
  policy = data.aws_iam_policy_document.d.json
}
resource "aws_iam_policy_attachment" "pa" {
  name       = "pa"
  users      = [aws_iam_user.u2.name]
  roles      = [aws_iam_role.r.name]
  groups     = [aws_iam_group.g.name]
  policy_arn = aws_iam_policy.p.arn
}
resource "aws_iam_group_policy_attachment" "ga" {
  group      = aws_iam_group.g2.name
  policy_arn = "arn:aws:iam::aws:policy/ReadOnlyAccess"
}
resource "aws_iam_group_policy" "gp" {
  group  = aws_iam_group.g.name
  name   = "gp"
  policy = data.aws_iam_policy_document.d.json
}
resource "aws_iam_instance_profile" "ip" {
  name = "tfip"
  role = aws_iam_role.r.name
}
resource "aws_iam_service_specific_credential" "c" {
  service_name = "codecommit.amazonaws.com"
  user_name    = aws_iam_user.u2.name
}
data "aws_iam_account_alias" "a" { depends_on = [aws_iam_account_alias.a] }
data "aws_iam_roles" "all" { depends_on = [aws_iam_role.r] }
data "aws_iam_users" "all" { depends_on = [aws_iam_user.u] }
data "aws_iam_group" "g" {
  group_name = aws_iam_group.g2.name
  depends_on = [aws_iam_group_membership.gm]
}
data "aws_iam_policy" "ro" { name = "ReadOnlyAccess" }
data "aws_iam_session_context" "s" { arn = data.aws_caller_identity.me.arn }
data "aws_caller_identity" "me" {}
data "aws_iam_principal_policy_simulation" "sim" {
  policy_source_arn = aws_iam_role.r.arn
  action_names      = ["s3:GetObject"]
  resource_arns     = ["arn:aws:s3:::zz"]
  depends_on        = [aws_iam_role_policy.rp]
}
data "aws_iam_access_keys" "k" {
  user       = aws_iam_user.u.name
  depends_on = [aws_iam_access_key.k]
}
data "aws_iam_instance_profiles" "x" {
  role_name  = aws_iam_role.r.name
  depends_on = [aws_iam_instance_profile.ip]
}
output "found" {
  value = {
    alias   = data.aws_iam_account_alias.a.account_alias
    allowed = data.aws_iam_principal_policy_simulation.sim.all_allowed
    key     = one(data.aws_iam_access_keys.k.access_keys).status
    member  = one(data.aws_iam_group.g.users).user_name
    profile = one(data.aws_iam_instance_profiles.x.names)
    aws     = data.aws_iam_policy.ro.arn
  }
}
