"""The autoscaler: observe, decide, act, remember."""
