"""Tests of the edges against real HTTP."""
