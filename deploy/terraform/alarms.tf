# CloudWatch is the watcher that does not depend on us. The monitor empties the dead-letter queues within
# seconds (body stored, event appended, alert raised); what lies there long enough for CloudWatch to see it
# says that the monitor itself is down. Each alarm names its runbook section in deploy/README.md.

data "aws_caller_identity" "current" {}

resource "aws_kms_key" "alarms" {
  description             = "Encrypts DirectoryBolt's alarm topic"
  enable_key_rotation     = true
  deletion_window_in_days = 30
  tags                    = var.tags

  # The key that AWS keeps for SNS cannot be used here: its policy does not let CloudWatch in, and alarms
  # would be lost without a trace.
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "AccountAdministers"
        Effect    = "Allow"
        Principal = { AWS = "arn:aws:iam::${data.aws_caller_identity.current.account_id}:root" }
        Action    = "kms:*"
        Resource  = "*"
      },
      {
        Sid       = "CloudWatchPublishes"
        Effect    = "Allow"
        Principal = { Service = "cloudwatch.amazonaws.com" }
        Action    = ["kms:Decrypt", "kms:GenerateDataKey*"]
        Resource  = "*"
        Condition = { StringEquals = { "aws:SourceAccount" = data.aws_caller_identity.current.account_id } }
      },
    ]
  })
}

resource "aws_sns_topic" "alarms" {
  name              = "directorybolt-alarms"
  kms_master_key_id = aws_kms_key.alarms.arn
  tags              = var.tags
}

resource "aws_sns_topic_policy" "alarms" {
  arn = aws_sns_topic.alarms.arn
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "CloudWatchPublishes"
      Effect    = "Allow"
      Principal = { Service = "cloudwatch.amazonaws.com" }
      Action    = "sns:Publish"
      Resource  = aws_sns_topic.alarms.arn
      Condition = { StringEquals = { "aws:SourceAccount" = data.aws_caller_identity.current.account_id } }
    }]
  })
}

resource "aws_sns_topic_subscription" "https" {
  for_each = nonsensitive(toset(keys(var.alarm_https_endpoints)))

  topic_arn              = aws_sns_topic.alarms.arn
  protocol               = "https"
  endpoint               = var.alarm_https_endpoints[each.key]
  endpoint_auto_confirms = true
}

resource "aws_cloudwatch_metric_alarm" "dead_letters" {
  for_each = var.queues

  alarm_name        = "directorybolt-${each.key}-dead-letters"
  alarm_description = "Dead letters lie in directorybolt-${each.key}-dlq: the monitor is not taking them. Runbook: deploy/README.md, section 'Dead letters'."
  namespace         = "AWS/SQS"
  # Visible only: messages that the monitor has in hand count as not visible, and are not a fault.
  metric_name         = "ApproximateNumberOfMessagesVisible"
  dimensions          = { QueueName = aws_sqs_queue.dead_letter[each.key].name }
  statistic           = "Maximum"
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  period              = 60
  evaluation_periods  = 1
  # SQS stops reporting a queue that nobody has touched for hours: silence of an empty queue is well.
  treat_missing_data = "notBreaching"
  alarm_actions      = [aws_sns_topic.alarms.arn]
  ok_actions         = [aws_sns_topic.alarms.arn]
  tags               = var.tags
}

resource "aws_cloudwatch_metric_alarm" "oldest_message" {
  for_each = var.queues

  alarm_name          = "directorybolt-${each.key}-oldest-message"
  alarm_description   = "A message has waited in directorybolt-${each.key} for more than ${each.value.oldest_age_alarm_seconds} s: workers do not take what they are given. Runbook: deploy/README.md, section 'Old messages'."
  namespace           = "AWS/SQS"
  metric_name         = "ApproximateAgeOfOldestMessage"
  dimensions          = { QueueName = aws_sqs_queue.work[each.key].name }
  statistic           = "Maximum"
  comparison_operator = "GreaterThanThreshold"
  threshold           = each.value.oldest_age_alarm_seconds
  period              = 60
  evaluation_periods  = 2
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]
  tags                = var.tags
}
