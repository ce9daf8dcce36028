"""Whether the log is what it was: its chain, seals over its ranges, proofs and exports."""
