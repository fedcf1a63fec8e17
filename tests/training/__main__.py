"""`python -m tests.training`: makes the weights of batchroute/routing/wordings.py. The same ones in every run."""

from tests.training.training import main

main()
