"""What the ledger tells: polars over the output, never the network."""
