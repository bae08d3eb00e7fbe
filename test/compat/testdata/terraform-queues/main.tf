terraform {
  required_providers {
    aws = { source = "hashicorp/aws" }
  }
}

provider "aws" {
  # Everything else comes from the environment.
  skip_metadata_api_check = true
}

variable "visibility" { default = 30 }
variable "team" { default = "a" }

resource "aws_sqs_queue" "dead" {
  name                      = "dead"
  message_retention_seconds = 1209600
}

resource "aws_sqs_queue" "work" {
  name                       = "work"
  delay_seconds              = 2
  max_message_size           = 2048
  receive_wait_time_seconds  = 5
  visibility_timeout_seconds = var.visibility
  sqs_managed_sse_enabled    = true
  redrive_policy             = jsonencode({ deadLetterTargetArn = aws_sqs_queue.dead.arn, maxReceiveCount = 4 })
  tags                       = { team = var.team }
}

resource "aws_sqs_queue_redrive_allow_policy" "dead" {
  queue_url            = aws_sqs_queue.dead.id
  redrive_allow_policy = jsonencode({ redrivePermission = "byQueue", sourceQueueArns = [aws_sqs_queue.work.arn] })
}

resource "aws_sqs_queue" "steps" {
  name                        = "steps.fifo"
  fifo_queue                  = true
  content_based_deduplication = true
  deduplication_scope         = "messageGroup"
  fifo_throughput_limit       = "perMessageGroupId"
}

data "aws_iam_policy_document" "work" {
  statement {
    actions   = ["sqs:SendMessage"]
    resources = [aws_sqs_queue.work.arn]
    principals {
      type        = "Service"
      identifiers = ["sns.amazonaws.com"]
    }
  }
}

resource "aws_sqs_queue_policy" "work" {
  queue_url = aws_sqs_queue.work.id
  policy    = data.aws_iam_policy_document.work.json
}

resource "aws_sqs_queue_redrive_policy" "second" {
  queue_url      = aws_sqs_queue.second.id
  redrive_policy = jsonencode({ deadLetterTargetArn = aws_sqs_queue.open.arn, maxReceiveCount = 1 })
}

resource "aws_sqs_queue" "second" { name = "second" }
resource "aws_sqs_queue" "open" { name_prefix = "open-" }

data "aws_sqs_queue" "found" {
  name       = "work"
  depends_on = [aws_sqs_queue.work]
}

output "found" { value = data.aws_sqs_queue.found.arn }
