"""Training of a network with a loss, as a function of (settings, data, epoch) and never of history.

The initial weights come from the seed; the order of the images, the crops and the flips of an epoch from
(seed, epoch). A training that stops and goes on from its state, or that shares its first epochs with a longer one,
ends with the same bits.
"""
