"""Where records are read from, as a stream: one file a kind."""
