# The queues carry hints ("look at submission X"); Postgres decides. Standard queues, not FIFO: one FIFO
# group per priority would let one message at a time through and so serialise the whole fleet.

locals {
  dlq_retention_seconds = 1209600 # 14 days, the most that SQS keeps
}

resource "aws_sqs_queue" "work" {
  for_each = var.queues

  name                       = "directorybolt-${each.key}"
  visibility_timeout_seconds = var.visibility_timeout_seconds
  message_retention_seconds  = var.retention_seconds
  receive_wait_time_seconds  = 20
  sqs_managed_sse_enabled    = true
  tags                       = var.tags

  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.dead_letter[each.key].arn
    maxReceiveCount     = var.receive_count_max
  })
}

resource "aws_sqs_queue" "dead_letter" {
  for_each = var.queues

  name                       = "directorybolt-${each.key}-dlq"
  visibility_timeout_seconds = var.visibility_timeout_seconds
  message_retention_seconds  = local.dlq_retention_seconds
  receive_wait_time_seconds  = 20
  sqs_managed_sse_enabled    = true
  tags                       = var.tags
}

# A resource of its own, because each queue names the other: within the queue it would be a cycle.
resource "aws_sqs_queue_redrive_allow_policy" "dead_letter" {
  for_each = var.queues

  queue_url = aws_sqs_queue.dead_letter[each.key].id
  redrive_allow_policy = jsonencode({
    redrivePermission = "byQueue"
    sourceQueueArns   = [aws_sqs_queue.work[each.key].arn]
  })
}

locals {
  all_queues = merge(
    { for key, queue in aws_sqs_queue.work : key => queue },
    { for key, queue in aws_sqs_queue.dead_letter : "${key}-dlq" => queue },
  )
}

resource "aws_sqs_queue_policy" "tls_only" {
  for_each = local.all_queues

  queue_url = each.value.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "RefusePlaintext"
      Effect    = "Deny"
      Principal = "*"
      Action    = "sqs:*"
      Resource  = each.value.arn
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    }]
  })
}
