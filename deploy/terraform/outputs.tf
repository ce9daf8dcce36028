output "queue_urls" {
  description = "Address of each work queue, by priority."
  value       = { for key, queue in aws_sqs_queue.work : key => queue.url }
}

output "dead_letter_queue_urls" {
  description = "Address of each dead-letter queue, by priority."
  value       = { for key, queue in aws_sqs_queue.dead_letter : key => queue.url }
}

output "service_policy_arns" {
  description = "Policy to attach to each service's role."
  value       = { for service, policy in aws_iam_policy.service : service => policy.arn }
}

output "alarm_topic_arn" {
  description = "Topic that every alarm speaks to; subscribe a chat channel here."
  value       = aws_sns_topic.alarms.arn
}
