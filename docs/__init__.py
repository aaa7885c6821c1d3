"""The documentation; docs.make makes pages of it."""
