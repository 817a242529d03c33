"""The edges: Kubernetes, AWS, memory and telemetry, without decisions."""
