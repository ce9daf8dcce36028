# Who may touch which queue: each service what it needs, and not one action more.

mock_provider "aws" {
  override_resource {
    target          = aws_sqs_queue.work["p1"]
    values          = { arn = "arn:aws:sqs:eu-central-1:123456789012:directorybolt-p1" }
    override_during = plan
  }
  override_resource {
    target          = aws_sqs_queue.work["p2"]
    values          = { arn = "arn:aws:sqs:eu-central-1:123456789012:directorybolt-p2" }
    override_during = plan
  }
  override_resource {
    target          = aws_sqs_queue.work["p3"]
    values          = { arn = "arn:aws:sqs:eu-central-1:123456789012:directorybolt-p3" }
    override_during = plan
  }
  override_resource {
    target          = aws_sqs_queue.dead_letter["p1"]
    values          = { arn = "arn:aws:sqs:eu-central-1:123456789012:directorybolt-p1-dlq" }
    override_during = plan
  }
  override_resource {
    target          = aws_sqs_queue.dead_letter["p2"]
    values          = { arn = "arn:aws:sqs:eu-central-1:123456789012:directorybolt-p2-dlq" }
    override_during = plan
  }
  override_resource {
    target          = aws_sqs_queue.dead_letter["p3"]
    values          = { arn = "arn:aws:sqs:eu-central-1:123456789012:directorybolt-p3-dlq" }
    override_during = plan
  }
}

run "the_scheduler_sends_and_cannot_receive" {
  command = plan

  assert {
    condition     = jsondecode(aws_iam_policy.service["scheduler"].policy).Statement == [{ Sid = "SendWork", Effect = "Allow", Action = ["sqs:SendMessage", "sqs:GetQueueUrl", "sqs:GetQueueAttributes"], Resource = local.work_arns }]
    error_message = "The scheduler sends work, and nothing else."
  }
}

run "the_submitter_receives_and_cannot_send" {
  command = plan

  assert {
    condition     = alltrue([for statement in jsondecode(aws_iam_policy.service["submitter"].policy).Statement : !contains(statement.Action, "sqs:SendMessage") && statement.Resource == local.work_arns])
    error_message = "The submitter takes work from the three queues; it neither sends nor sees dead letters."
  }
  assert {
    condition     = length(setsubtract(["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility"], jsondecode(aws_iam_policy.service["submitter"].policy).Statement[0].Action)) == 0
    error_message = "It must be able to receive, to delete after the claim, and to give back."
  }
}

run "the_monitor_empties_dead_letter_queues_only" {
  command = plan

  assert {
    condition     = alltrue([for statement in jsondecode(aws_iam_policy.service["monitor"].policy).Statement : !contains(statement.Action, "sqs:ReceiveMessage") || statement.Resource == local.dead_letter_arns])
    error_message = "The monitor receives from dead-letter queues only: taking live work would hide it from workers."
  }
}

run "nobody_gets_more" {
  command = plan

  assert {
    condition     = toset(keys(aws_iam_policy.service)) == toset(["monitor", "scheduler", "submitter"])
    error_message = "Intake never touches a queue."
  }
  assert {
    condition     = !anytrue(flatten([for policy in aws_iam_policy.service : [for statement in jsondecode(policy.policy).Statement : [for action in statement.Action : strcontains(action, "*") || contains(["sqs:DeleteQueue", "sqs:PurgeQueue", "sqs:CreateQueue", "sqs:SetQueueAttributes", "sqs:AddPermission"], action)]]]))
    error_message = "No wildcard, and no service may make, change, purge or delete a queue."
  }
  assert {
    condition     = !anytrue(flatten([for policy in aws_iam_policy.service : [for statement in jsondecode(policy.policy).Statement : [for resource in statement.Resource : strcontains(resource, "*")]]]))
    error_message = "Policies name queues, never a pattern."
  }
}
