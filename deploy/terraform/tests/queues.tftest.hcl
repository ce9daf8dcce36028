# Every promise about the queues, with no AWS account: the provider is a mock.

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

run "one_queue_per_priority" {
  command = plan

  assert {
    condition     = toset([for queue in aws_sqs_queue.work : queue.name]) == toset(["directorybolt-p1", "directorybolt-p2", "directorybolt-p3"])
    error_message = "The dispatcher sends to directorybolt-p1, -p2 and -p3."
  }
  assert {
    condition     = alltrue([for queue in aws_sqs_queue.work : queue.fifo_queue != true])
    error_message = "Standard queues: FIFO groups would serialise the fleet."
  }
  assert {
    condition     = alltrue([for queue in aws_sqs_queue.work : queue.receive_wait_time_seconds == 20])
    error_message = "Long polling of 20 s, or idle workers pay for empty answers."
  }
  assert {
    condition     = alltrue([for queue in aws_sqs_queue.work : queue.visibility_timeout_seconds == 60])
    error_message = "A message is hidden for the minute from receive to claim."
  }
  assert {
    condition     = alltrue([for queue in concat(values(aws_sqs_queue.work), values(aws_sqs_queue.dead_letter)) : queue.sqs_managed_sse_enabled])
    error_message = "Every queue is encrypted at rest."
  }
}

run "every_queue_has_its_own_dead_letter_queue" {
  command = plan

  assert {
    condition     = keys(aws_sqs_queue.work) == keys(aws_sqs_queue.dead_letter)
    error_message = "A queue without a dead-letter queue loses poison messages or chokes on them."
  }
  assert {
    condition     = alltrue([for key, queue in aws_sqs_queue.work : jsondecode(queue.redrive_policy).deadLetterTargetArn == aws_sqs_queue.dead_letter[key].arn])
    error_message = "Each queue's dead letters go to its own dead-letter queue."
  }
  assert {
    condition     = alltrue([for queue in aws_sqs_queue.work : jsondecode(queue.redrive_policy).maxReceiveCount == 5])
    error_message = "Five deliveries without a claim, then the dead-letter queue."
  }
  assert {
    condition     = alltrue([for key, policy in aws_sqs_queue_redrive_allow_policy.dead_letter : jsondecode(policy.redrive_allow_policy) == { redrivePermission = "byQueue", sourceQueueArns = [aws_sqs_queue.work[key].arn] }])
    error_message = "A dead-letter queue takes from its own queue and from no other."
  }
  assert {
    condition     = alltrue([for key, queue in aws_sqs_queue.dead_letter : queue.message_retention_seconds == 1209600 && queue.message_retention_seconds > aws_sqs_queue.work[key].message_retention_seconds])
    error_message = "A dead letter is kept for 14 days, longer than in its source."
  }
}

run "no_queue_answers_without_tls" {
  command = plan

  assert {
    condition     = length(aws_sqs_queue_policy.tls_only) == 6 && alltrue([for policy in aws_sqs_queue_policy.tls_only : jsondecode(policy.policy).Statement[0].Effect == "Deny" && jsondecode(policy.policy).Statement[0].Condition.Bool["aws:SecureTransport"] == "false"])
    error_message = "All six queues refuse plaintext."
  }
}

run "fewer_deliveries_than_five_are_refused" {
  command = plan
  variables {
    receive_count_max = 3
  }
  expect_failures = [var.receive_count_max]
}

run "a_source_may_not_keep_as_long_as_its_dead_letter_queue" {
  command = plan
  variables {
    retention_seconds = 1209600
  }
  expect_failures = [var.retention_seconds]
}

run "a_visibility_too_short_for_a_claim_is_refused" {
  command = plan
  variables {
    visibility_timeout_seconds = 5
  }
  expect_failures = [var.visibility_timeout_seconds]
}

run "a_missing_priority_is_refused" {
  command = plan
  variables {
    queues = { p1 = { oldest_age_alarm_seconds = 300 } }
  }
  expect_failures = [var.queues]
}
