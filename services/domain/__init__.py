"""The pure core: states, decisions, retry policy and gap rules. No I/O, no clock, no random."""
