"""The whole mesh on one machine: embedded Postgres, queue server, and a supervisor of processes."""
