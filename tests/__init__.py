"""Tests of the library, the Lambda and both together."""
