"""The lambda-autoscaler command."""
