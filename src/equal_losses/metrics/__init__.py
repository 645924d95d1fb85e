"""What is measured on trained networks."""

BEST = "best"  # name of the snapshot with the best validation accuracy; the others are named by their epoch
