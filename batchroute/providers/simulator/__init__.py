"""An OpenAI-compatible server in a process of its own; it imports neither openai, polars nor an HTTP client."""
