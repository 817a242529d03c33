"""The decision: pure functions over immutable values."""
