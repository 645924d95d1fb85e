"""Tables of an experiment, and what follows from them. Nothing here imports PyTorch."""
