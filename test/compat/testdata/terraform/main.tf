terraform {
  required_providers {
    aws = { source = "hashicorp/aws" }
  }
}

provider "aws" {
  # Everything else comes from the environment.
  skip_metadata_api_check = true
}

variable "greeting" { default = "hello" }
variable "memory" { default = 128 }
variable "description" { default = "first" }

data "aws_caller_identity" "me" {}
data "aws_region" "here" {}
data "aws_partition" "this" {}

data "aws_iam_policy_document" "trust" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["lambda.amazonaws.com"]
    }
  }
}

data "aws_iam_policy_document" "logs" {
  statement {
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["arn:${data.aws_partition.this.partition}:logs:${data.aws_region.here.name}:${data.aws_caller_identity.me.account_id}:*"]
  }
}

resource "aws_iam_role" "fn" {
  name               = "tf-fn"
  description        = var.description
  assume_role_policy = data.aws_iam_policy_document.trust.json
  tags               = { stage = var.description }
}

resource "aws_iam_role_policy" "inline" {
  name   = "inline"
  role   = aws_iam_role.fn.id
  policy = data.aws_iam_policy_document.logs.json
}

resource "aws_iam_policy" "managed" {
  name   = "tf-managed"
  policy = data.aws_iam_policy_document.logs.json
}

resource "aws_iam_role_policy_attachment" "managed" {
  role       = aws_iam_role.fn.name
  policy_arn = aws_iam_policy.managed.arn
}

resource "aws_iam_role_policy_attachment" "basic" {
  role       = aws_iam_role.fn.name
  policy_arn = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"
}

resource "aws_iam_user" "ci" {
  name = "tf-ci"
  tags = { stage = var.description }
}

resource "aws_iam_access_key" "ci" {
  user = aws_iam_user.ci.name
}

resource "aws_iam_user_policy" "ci" {
  name   = "ci"
  user   = aws_iam_user.ci.name
  policy = data.aws_iam_policy_document.logs.json
}

resource "aws_iam_instance_profile" "fn" {
  name = "tf-profile"
  role = aws_iam_role.fn.name
}

resource "aws_cloudwatch_log_group" "fn" {
  name              = "/aws/lambda/tf-fn"
  retention_in_days = 14
  tags              = { stage = var.description }
}

resource "aws_cloudwatch_log_metric_filter" "errors" {
  name           = "errors"
  pattern        = "ERROR"
  log_group_name = aws_cloudwatch_log_group.fn.name
  metric_transformation {
    name      = "Errors"
    namespace = "tf"
    value     = "1"
  }
}

resource "aws_cloudwatch_log_stream" "extra" {
  name           = "extra"
  log_group_name = aws_cloudwatch_log_group.fn.name
}

resource "aws_cloudwatch_log_resource_policy" "dns" {
  policy_name     = "dns"
  policy_document = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Principal = { Service = "route53.amazonaws.com" }, Action = "logs:PutLogEvents", Resource = "*" }]
  })
}

resource "aws_cloudwatch_query_definition" "slow" {
  name            = "slow-${var.description}"
  log_group_names = [aws_cloudwatch_log_group.fn.name]
  query_string    = "filter @type = \"REPORT\" | stats max(@duration)"
}

resource "aws_lambda_permission" "logs" {
  function_name = aws_lambda_function.steady.function_name
  action        = "lambda:InvokeFunction"
  principal     = "logs.amazonaws.com"
  source_arn    = "${aws_cloudwatch_log_group.fn.arn}:*"
}

resource "aws_cloudwatch_log_subscription_filter" "errors" {
  name            = "errors"
  log_group_name  = aws_cloudwatch_log_group.fn.name
  filter_pattern  = "ERROR ${var.greeting}"
  destination_arn = aws_lambda_function.steady.arn
  depends_on      = [aws_lambda_permission.logs]
}

resource "aws_lambda_function" "fn" {
  function_name    = "tf-fn"
  description      = var.description
  filename         = "code.zip"
  source_code_hash = filebase64sha256("code.zip")
  role             = aws_iam_role.fn.arn
  handler          = "app.handler"
  runtime          = "python3.12"
  memory_size      = var.memory
  timeout          = 10
  publish          = true
  environment {
    variables = { GREETING = var.greeting }
  }
  tags       = { stage = var.description }
  depends_on = [aws_cloudwatch_log_group.fn, aws_iam_role_policy.inline]
}

# What does not change stays as it is, so that its version and what is provisioned of it does.
resource "aws_lambda_function" "steady" {
  function_name    = "tf-steady"
  filename         = "code.zip"
  source_code_hash = filebase64sha256("code.zip")
  role             = aws_iam_role.fn.arn
  handler          = "app.handler"
  runtime          = "python3.12"
  publish          = true
}

resource "aws_lambda_provisioned_concurrency_config" "steady" {
  function_name                     = aws_lambda_function.steady.function_name
  qualifier                         = aws_lambda_function.steady.version
  provisioned_concurrent_executions = 1
}

resource "aws_lambda_function" "snapped" {
  function_name    = "tf-snapped"
  filename         = "code.zip"
  source_code_hash = filebase64sha256("code.zip")
  role             = aws_iam_role.fn.arn
  handler          = "app.handler"
  runtime          = "python3.12"
  publish          = true
  snap_start { apply_on = "PublishedVersions" }
}

resource "aws_lambda_invocation" "fn" {
  function_name = aws_lambda_function.fn.function_name
  input         = jsonencode({ from = "terraform" })
}

output "answer" { value = aws_lambda_invocation.fn.result }
output "who" { value = data.aws_caller_identity.me.arn }
