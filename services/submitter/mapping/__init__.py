"""Works out which control of a page wants which part of a business profile: pure, but for one script."""
