"""Files: sources, the store, parts and prices. Knows nothing of models and routes."""
