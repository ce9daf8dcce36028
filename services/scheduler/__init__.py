"""Decides when and where work runs: plans jobs, sends work out, rescues what fell silent."""
