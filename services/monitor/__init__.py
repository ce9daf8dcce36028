"""What is wrong, and what happened: gap rules, alerts, health, and the audit of the log."""
