variable "queues" {
  description = "One queue per priority. `oldest_age_alarm_seconds`: how old a waiting message may grow before somebody is told. The dispatcher keeps a shallow window, so age here means that workers do not take what they are given."
  type = map(object({
    oldest_age_alarm_seconds = number
  }))
  default = {
    p1 = { oldest_age_alarm_seconds = 300 }
    p2 = { oldest_age_alarm_seconds = 600 }
    p3 = { oldest_age_alarm_seconds = 900 }
  }

  validation {
    condition     = length(setsubtract(keys(var.queues), ["p1", "p2", "p3"])) == 0 && length(var.queues) == 3
    error_message = "The contract has the priorities P1, P2 and P3 (proto/directorybolt/job/v1/job.proto): name exactly the queues p1, p2 and p3."
  }
  validation {
    condition     = alltrue([for queue in values(var.queues) : queue.oldest_age_alarm_seconds >= 60])
    error_message = "CloudWatch sees SQS once a minute: an age below 60 s cannot be told from noise."
  }
}

variable "visibility_timeout_seconds" {
  description = "How long a message stays hidden from others after a worker received it. It covers receive to claim only (the message is deleted once the claim is recorded; from then on the lease in Postgres holds), so a minute is many times what is needed."
  type        = number
  default     = 60

  validation {
    condition     = var.visibility_timeout_seconds >= 30 && var.visibility_timeout_seconds <= 900
    error_message = "Between 30 s (a slow claim must not be delivered twice) and 900 s (a dead consumer's message must come back)."
  }
}

variable "receive_count_max" {
  description = "Deliveries without a claim after which a message goes to the dead-letter queue. Deliveries are not attempts: attempts are counted in the event store."
  type        = number
  default     = 5

  validation {
    condition     = var.receive_count_max >= 5
    error_message = "At least 5: fewer sends healthy messages to the dead-letter queue whenever a fleet restarts."
  }
}

variable "retention_seconds" {
  description = "How long a queue keeps a message that nobody takes. Must be shorter than the dead-letter queue's: SQS counts a dead letter's age from its first arrival, so an equal retention could expire it on the day it gets there."
  type        = number
  default     = 345600 # 4 days

  validation {
    condition     = var.retention_seconds >= 3600 && var.retention_seconds < 1209600
    error_message = "Between one hour and less than the 14 days of the dead-letter queues."
  }
}

variable "alarm_https_endpoints" {
  description = "HTTPS endpoints that take CloudWatch alarms from SNS, by name (\"pagerduty\"). The addresses hold integration keys: give them from a secret store, never from a committed file."
  type        = map(string)
  default     = {}
  sensitive   = true

  validation {
    condition     = alltrue([for url in values(var.alarm_https_endpoints) : startswith(url, "https://")])
    error_message = "Alarms leave over TLS only: every endpoint starts with https://."
  }
}

variable "tags" {
  description = "Tags of every resource."
  type        = map(string)
  default     = { application = "directorybolt" }
}
