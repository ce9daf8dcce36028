# Who may do what to which queue. The scheduler alone sends work, the submitter alone takes it, the monitor
# alone empties the dead-letter queues; intake never touches a queue and gets no policy. Nobody may create,
# delete or purge a queue, and there are no wildcards.

locals {
  work_arns        = [for key in sort(keys(var.queues)) : aws_sqs_queue.work[key].arn]
  dead_letter_arns = [for key in sort(keys(var.queues)) : aws_sqs_queue.dead_letter[key].arn]

  statements_by_service = {
    scheduler = [
      {
        Sid      = "SendWork"
        Effect   = "Allow"
        Action   = ["sqs:SendMessage", "sqs:GetQueueUrl", "sqs:GetQueueAttributes"]
        Resource = local.work_arns
      },
    ]
    submitter = [
      {
        Sid    = "TakeWork"
        Effect = "Allow"
        Action = [
          "sqs:ReceiveMessage",
          "sqs:DeleteMessage",
          "sqs:ChangeMessageVisibility",
          "sqs:GetQueueUrl",
          "sqs:GetQueueAttributes",
        ]
        Resource = local.work_arns
      },
    ]
    monitor = [
      {
        Sid      = "SeeDepths"
        Effect   = "Allow"
        Action   = ["sqs:GetQueueUrl", "sqs:GetQueueAttributes"]
        Resource = local.work_arns
      },
      {
        Sid    = "EmptyDeadLetters"
        Effect = "Allow"
        Action = [
          "sqs:ReceiveMessage",
          "sqs:DeleteMessage",
          "sqs:ChangeMessageVisibility",
          "sqs:GetQueueUrl",
          "sqs:GetQueueAttributes",
        ]
        Resource = local.dead_letter_arns
      },
    ]
  }
}

resource "aws_iam_policy" "service" {
  for_each = local.statements_by_service

  name        = "directorybolt-${each.key}-queues"
  description = "What DirectoryBolt's ${each.key} may do to the queues."
  policy      = jsonencode({ Version = "2012-10-17", Statement = each.value })
  tags        = var.tags
}
