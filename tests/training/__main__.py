"""`python -m tests.training`: makes batchroute/routing/wordings.parquet. The same ones in every run."""

from tests.training.training import main

main()
