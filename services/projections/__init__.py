"""Read models: one file each, a pure projector and its table. Each has one owning kind of process."""
