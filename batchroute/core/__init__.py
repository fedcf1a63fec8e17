"""Values that every floor shares; no files, no network, no event loop."""
