"""The job file as types, and the way from its text to them."""
