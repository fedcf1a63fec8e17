"""Decisions, pure and synchronous: they are given the time and do no I/O."""
