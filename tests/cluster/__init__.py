"""The clusters the end-to-end tests and the demo play on: a real Kubernetes control plane and an AWS made of moto."""
