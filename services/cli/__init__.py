"""The `directorybolt` command: a gRPC client like any other, and the door to the stack on this machine."""
