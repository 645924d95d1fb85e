"""Numbers that the paper states."""

FOCAL_REGION = 0.21  # Section 3.2: the focal loss is convex where the probability p of the true class is at least this
