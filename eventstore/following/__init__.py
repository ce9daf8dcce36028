"""Following the log: subscriptions, projections and consumers, the partitions they share, and what fails."""
