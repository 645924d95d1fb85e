"""What a run of the workflow says on the terminal, and how much time it has left."""
