"""Figures of experiments and of the theory, and the style that they share. Nothing here imports PyTorch."""
