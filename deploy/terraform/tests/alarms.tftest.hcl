# Nothing may lie in a dead-letter queue, and nothing grow old in a queue, without somebody being told.

mock_provider "aws" {
  mock_resource "aws_sns_topic" {
    defaults        = { arn = "arn:aws:sns:eu-central-1:123456789012:directorybolt-alarms" }
    override_during = plan
  }
  mock_resource "aws_kms_key" {
    defaults        = { arn = "arn:aws:kms:eu-central-1:123456789012:key/alarms" }
    override_during = plan
  }
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }
}

run "a_dead_letter_alarms_at_once" {
  command = plan

  assert {
    condition     = toset([for alarm in aws_cloudwatch_metric_alarm.dead_letters : alarm.dimensions.QueueName]) == toset([for queue in aws_sqs_queue.dead_letter : queue.name])
    error_message = "Every dead-letter queue has its alarm."
  }
  assert {
    condition     = alltrue([for alarm in aws_cloudwatch_metric_alarm.dead_letters : alarm.metric_name == "ApproximateNumberOfMessagesVisible" && alarm.comparison_operator == "GreaterThanThreshold" && alarm.threshold == 0 && alarm.evaluation_periods == 1])
    error_message = "One visible dead letter in one minute is enough."
  }
}

run "an_old_message_alarms" {
  command = plan

  assert {
    condition     = toset([for alarm in aws_cloudwatch_metric_alarm.oldest_message : alarm.dimensions.QueueName]) == toset([for queue in aws_sqs_queue.work : queue.name])
    error_message = "Every work queue has its alarm."
  }
  assert {
    condition     = alltrue([for key, alarm in aws_cloudwatch_metric_alarm.oldest_message : alarm.metric_name == "ApproximateAgeOfOldestMessage" && alarm.threshold == var.queues[key].oldest_age_alarm_seconds])
    error_message = "The threshold is the queue's own."
  }
  assert {
    condition     = aws_cloudwatch_metric_alarm.oldest_message["p1"].threshold < aws_cloudwatch_metric_alarm.oldest_message["p3"].threshold
    error_message = "P1 may wait less than P3."
  }
}

run "every_alarm_reaches_the_topic" {
  command = plan

  assert {
    condition     = alltrue([for alarm in concat(values(aws_cloudwatch_metric_alarm.dead_letters), values(aws_cloudwatch_metric_alarm.oldest_message)) : contains(alarm.alarm_actions, aws_sns_topic.alarms.arn) && contains(alarm.ok_actions, aws_sns_topic.alarms.arn)])
    error_message = "Raising and clearing both go to the topic."
  }
  assert {
    condition     = alltrue([for alarm in concat(values(aws_cloudwatch_metric_alarm.dead_letters), values(aws_cloudwatch_metric_alarm.oldest_message)) : alarm.treat_missing_data == "notBreaching"])
    error_message = "An idle queue reports nothing, and that is no alarm."
  }
  assert {
    condition     = alltrue([for alarm in concat(values(aws_cloudwatch_metric_alarm.dead_letters), values(aws_cloudwatch_metric_alarm.oldest_message)) : strcontains(alarm.alarm_description, "Runbook: ")])
    error_message = "Whoever is woken is told where to read on."
  }
  assert {
    condition     = aws_sns_topic.alarms.kms_master_key_id == aws_kms_key.alarms.arn && anytrue([for statement in jsondecode(aws_kms_key.alarms.policy).Statement : lookup(statement.Principal, "Service", "") == "cloudwatch.amazonaws.com" && toset(flatten([statement.Action])) == toset(["kms:Decrypt", "kms:GenerateDataKey*"])])
    error_message = "The topic is encrypted with a key that CloudWatch may use."
  }
}

run "a_pager_is_subscribed" {
  command = plan
  variables {
    alarm_https_endpoints = { pagerduty = "https://events.example.com/integration/x/enqueue" }
  }

  assert {
    condition     = aws_sns_topic_subscription.https["pagerduty"].protocol == "https"
    error_message = "Each named endpoint is subscribed over HTTPS."
  }
}

run "a_plaintext_pager_is_refused" {
  command = plan
  variables {
    alarm_https_endpoints = { pagerduty = "http://events.example.com/" }
  }
  expect_failures = [var.alarm_https_endpoints]
}
