"""Read models built again: beside the live one, to be compared and swapped; or as they were once."""
