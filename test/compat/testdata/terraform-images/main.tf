terraform {
  required_providers {
    aws = { source = "hashicorp/aws" }
  }
}

provider "aws" {
  # Everything else comes from the environment.
  skip_metadata_api_check = true
}

variable "image" {}
variable "architecture" {}
variable "handler" { default = "app.handler" }
variable "directory" { default = "/work" }

data "aws_iam_policy_document" "trust" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["lambda.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "fn" {
  name               = "tf-image"
  assume_role_policy = data.aws_iam_policy_document.trust.json
}

resource "aws_lambda_function" "fn" {
  function_name = "tf-image"
  role          = aws_iam_role.fn.arn
  package_type  = "Image"
  image_uri     = var.image
  architectures = [var.architecture]
  timeout       = 20
  publish       = true

  image_config {
    command           = [var.handler]
    working_directory = var.directory
  }
}

data "aws_lambda_invocation" "answer" {
  function_name = aws_lambda_function.fn.function_name
  qualifier     = aws_lambda_function.fn.version
  input         = jsonencode({ n = 1 })
}

output "answer" { value = data.aws_lambda_invocation.answer.result }
