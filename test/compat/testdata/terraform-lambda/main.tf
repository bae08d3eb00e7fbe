terraform {
  required_providers {
    aws = { source = "hashicorp/aws" }
  }
}

provider "aws" {
  # Everything else comes from the environment.
  skip_metadata_api_check = true
}

# Second is what the change in place turns on.
variable "second" { default = false }

locals {
  text = var.second ? "second" : "first"
}

data "aws_caller_identity" "me" {}

data "aws_iam_policy_document" "trust" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["lambda.amazonaws.com"]
    }
  }
}

data "aws_iam_policy_document" "work" {
  statement {
    actions   = ["sqs:*", "logs:*", "lambda:InvokeFunction"]
    resources = ["*"]
  }
}

resource "aws_iam_role" "fn" {
  name               = "tf-lambda"
  assume_role_policy = data.aws_iam_policy_document.trust.json
}

resource "aws_iam_role_policy" "work" {
  name   = "work"
  role   = aws_iam_role.fn.id
  policy = data.aws_iam_policy_document.work.json
}

resource "aws_sqs_queue" "source" {
  name                       = "tf-source"
  visibility_timeout_seconds = 120
}

resource "aws_sqs_queue" "dead" { name = "tf-dead" }
resource "aws_sqs_queue" "done" { name = "tf-done" }

resource "aws_cloudwatch_log_group" "own" { name = "tf-own" }

resource "aws_lambda_layer_version" "common" {
  layer_name               = "tf-common"
  filename                 = "layer.zip"
  source_code_hash         = filebase64sha256("layer.zip")
  description              = "what functions share"
  license_info             = "MIT"
  compatible_runtimes      = ["python3.12", "python3.13"]
  compatible_architectures = ["x86_64"]
}

resource "aws_lambda_layer_version_permission" "all" {
  layer_name      = aws_lambda_layer_version.common.layer_name
  version_number  = aws_lambda_layer_version.common.version
  statement_id    = "all"
  action          = "lambda:GetLayerVersion"
  principal       = "*"
  organization_id = "o-1234567890"
}

resource "aws_lambda_function" "full" {
  function_name                  = "tf-full"
  description                    = local.text
  filename                       = "code.zip"
  source_code_hash               = filebase64sha256("code.zip")
  role                           = aws_iam_role.fn.arn
  handler                        = "app.handler"
  runtime                        = "python3.12"
  architectures                  = ["x86_64"]
  layers                         = [aws_lambda_layer_version.common.arn]
  memory_size                    = var.second ? 192 : 128
  timeout                        = var.second ? 20 : 10
  reserved_concurrent_executions = var.second ? 7 : 5
  publish                        = true

  environment {
    variables = { GREETING = local.text }
  }
  ephemeral_storage {
    size = var.second ? 1024 : 512
  }
  tracing_config {
    mode = var.second ? "Active" : "PassThrough"
  }
  dead_letter_config {
    target_arn = var.second ? aws_sqs_queue.done.arn : aws_sqs_queue.dead.arn
  }
  logging_config {
    log_format            = "JSON"
    application_log_level = var.second ? "DEBUG" : "WARN"
    system_log_level      = var.second ? "DEBUG" : "INFO"
    log_group             = aws_cloudwatch_log_group.own.name
  }
  tags       = { stage = local.text, team = "a" }
  depends_on = [aws_iam_role_policy.work]
}

# What does not change, but for what belongs to it.
resource "aws_lambda_function" "steady" {
  function_name    = "tf-steady"
  filename         = "code.zip"
  source_code_hash = filebase64sha256("code.zip")
  role             = aws_iam_role.fn.arn
  handler          = "app.handler"
  runtime          = "python3.12"
  timeout          = 10
  publish          = true
  depends_on       = [aws_iam_role_policy.work]
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

resource "aws_lambda_alias" "live" {
  name             = "live"
  description      = local.text
  function_name    = aws_lambda_function.full.function_name
  function_version = "1"
  dynamic "routing_config" {
    for_each = var.second ? [1] : []
    content {
      additional_version_weights = { (aws_lambda_function.full.version) = 0.25 }
    }
  }
}

resource "aws_lambda_alias" "steady" {
  name             = "steady"
  function_name    = aws_lambda_function.steady.arn
  function_version = aws_lambda_function.steady.version
}

resource "aws_lambda_permission" "s3" {
  statement_id   = "s3"
  function_name  = aws_lambda_function.full.function_name
  action         = "lambda:InvokeFunction"
  principal      = "s3.amazonaws.com"
  source_arn     = "arn:aws:s3:::bucket"
  source_account = data.aws_caller_identity.me.account_id
}

resource "aws_lambda_permission" "alias" {
  statement_id  = "rule"
  function_name = aws_lambda_function.full.function_name
  qualifier     = aws_lambda_alias.live.name
  action        = "lambda:InvokeFunction"
  principal     = "events.amazonaws.com"
  source_arn    = "arn:aws:events:us-east-1:${data.aws_caller_identity.me.account_id}:rule/nightly"
}

resource "aws_lambda_permission" "version" {
  statement_id_prefix = "tf-"
  function_name       = aws_lambda_function.steady.function_name
  qualifier           = "1" # its number is not known to who plans an import
  action              = "lambda:GetFunction"
  principal           = "arn:aws:iam::111111111111:root"
}

resource "aws_lambda_permission" "organization" {
  function_name    = aws_lambda_function.steady.arn
  action           = "lambda:InvokeFunction"
  principal        = "*"
  principal_org_id = "o-1234567890"
}

resource "aws_lambda_permission" "url" {
  statement_id           = "url"
  function_name          = aws_lambda_function.steady.function_name
  action                 = "lambda:InvokeFunctionUrl"
  principal              = "arn:aws:iam::${data.aws_caller_identity.me.account_id}:role/${aws_iam_role.fn.name}"
  function_url_auth_type = "AWS_IAM"
}

resource "aws_lambda_permission" "token" {
  statement_id       = "alexa"
  function_name      = aws_lambda_function.steady.function_name
  action             = "lambda:InvokeFunction"
  principal          = "alexa-appkit.amazon.com"
  event_source_token = "amzn1.ask.skill.1"
}

# The URL gives everybody lambda:InvokeFunctionUrl, but not this.
resource "aws_lambda_permission" "everybody" {
  statement_id  = "everybody"
  function_name = aws_lambda_function.steady.function_name
  action        = "lambda:InvokeFunction"
  principal     = "*"
}

resource "aws_lambda_function_url" "steady" {
  function_name      = aws_lambda_function.steady.function_name
  authorization_type = var.second ? "AWS_IAM" : "NONE"
  invoke_mode        = var.second ? "RESPONSE_STREAM" : "BUFFERED"
  cors {
    allow_credentials = !var.second
    allow_origins     = ["https://${local.text}.example.com"]
    allow_methods     = ["GET", "POST"]
    allow_headers     = ["date", "keep-alive"]
    expose_headers    = ["keep-alive", "date"]
    max_age           = 86400
  }
}

resource "aws_lambda_function_url" "alias" {
  function_name      = aws_lambda_function.full.function_name
  qualifier          = aws_lambda_alias.live.name
  authorization_type = "AWS_IAM"
}

resource "aws_lambda_function_event_invoke_config" "full" {
  function_name                = aws_lambda_function.full.function_name
  maximum_event_age_in_seconds = var.second ? 120 : 60
  maximum_retry_attempts       = var.second ? 1 : 0
  destination_config {
    on_failure { destination = aws_sqs_queue.dead.arn }
    on_success { destination = var.second ? aws_sqs_queue.dead.arn : aws_sqs_queue.done.arn }
  }
}

resource "aws_lambda_function_event_invoke_config" "alias" {
  function_name          = aws_lambda_function.full.function_name
  qualifier              = aws_lambda_alias.live.name
  maximum_retry_attempts = 2
}

resource "aws_lambda_function_recursion_config" "full" {
  function_name  = aws_lambda_function.full.function_name
  recursive_loop = var.second ? "Terminate" : "Allow"
}

resource "aws_lambda_provisioned_concurrency_config" "steady" {
  function_name                     = aws_lambda_function.steady.function_name
  qualifier                         = aws_lambda_alias.steady.name
  provisioned_concurrent_executions = var.second ? 2 : 1
}

resource "aws_lambda_runtime_management_config" "steady" {
  function_name     = aws_lambda_function.steady.function_name
  update_runtime_on = "Auto"
}

resource "aws_lambda_event_source_mapping" "queue" {
  event_source_arn                   = aws_sqs_queue.source.arn
  function_name                      = aws_lambda_function.steady.arn
  enabled                            = !var.second
  batch_size                         = var.second ? 20 : 10
  maximum_batching_window_in_seconds = 1
  function_response_types            = ["ReportBatchItemFailures"]
  filter_criteria {
    filter { pattern = jsonencode({ body = { kind = [local.text] } }) }
  }
  scaling_config {
    maximum_concurrency = var.second ? 10 : 2
  }
  tags = { stage = local.text }
}

resource "aws_lambda_code_signing_config" "warn" {
  description = local.text
  allowed_publishers {
    signing_profile_version_arns = ["arn:aws:signer:us-east-1:${data.aws_caller_identity.me.account_id}:/signing-profiles/builds/1234567890"]
  }
  policies {
    untrusted_artifact_on_deployment = "Warn"
  }
}

resource "aws_lambda_function" "signed" {
  function_name           = "tf-signed"
  filename                = "code.zip"
  source_code_hash        = filebase64sha256("code.zip")
  role                    = aws_iam_role.fn.arn
  handler                 = "app.handler"
  runtime                 = "python3.12"
  code_signing_config_arn = aws_lambda_code_signing_config.warn.arn
}

resource "aws_lambda_invocation" "once" {
  function_name = aws_lambda_function.full.function_name
  qualifier     = aws_lambda_alias.live.name
  input         = jsonencode({ from = "once" })
}

resource "aws_lambda_invocation" "crud" {
  function_name   = aws_lambda_function.steady.function_name
  lifecycle_scope = "CRUD"
  input           = jsonencode({ from = local.text })
}

data "aws_lambda_function" "full" {
  function_name = aws_lambda_function.full.function_name
}

data "aws_lambda_function" "qualified" {
  function_name = aws_lambda_function.full.function_name
  qualifier     = aws_lambda_alias.live.name
}

data "aws_lambda_functions" "all" {
  depends_on = [aws_lambda_function.full, aws_lambda_function.steady, aws_lambda_function.signed, aws_lambda_function.snapped]
}

data "aws_lambda_alias" "live" {
  function_name = aws_lambda_function.full.function_name
  name          = aws_lambda_alias.live.name
}

data "aws_lambda_layer_version" "common" {
  layer_name         = aws_lambda_layer_version.common.layer_name
  compatible_runtime = "python3.12"
}

data "aws_lambda_function_url" "steady" {
  function_name = aws_lambda_function_url.steady.function_name
}

data "aws_lambda_code_signing_config" "warn" {
  arn = aws_lambda_code_signing_config.warn.arn
}

data "aws_lambda_invocation" "read" {
  function_name = aws_lambda_function.steady.function_name
  input         = jsonencode({ from = "data" })
}

output "found" {
  value = {
    functions = length(data.aws_lambda_functions.all.function_names)
    full      = data.aws_lambda_function.full.reserved_concurrent_executions
    logs      = data.aws_lambda_function.full.logging_config[0].log_group
    qualified = data.aws_lambda_function.qualified.version
    alias     = data.aws_lambda_alias.live.function_version
    layer     = data.aws_lambda_layer_version.common.description
    url       = data.aws_lambda_function_url.steady.authorization_type
    at        = data.aws_lambda_function_url.steady.function_url
    signing   = data.aws_lambda_code_signing_config.warn.policies[0].untrusted_artifact_on_deployment
    read      = jsondecode(data.aws_lambda_invocation.read.result).event.from
    once      = jsondecode(aws_lambda_invocation.once.result).event.from
    crud      = jsondecode(aws_lambda_invocation.crud.result).event.tf.action
  }
}

# What an import must be told.
output "ids" {
  value = {
    mapping = aws_lambda_event_source_mapping.queue.id
    signing = aws_lambda_code_signing_config.warn.arn
    version = aws_lambda_permission.version.statement_id
  }
}
