"""The theory on the unconstrained feature model, Eq. (7): closed forms, minimisers, landscape, Definition 1."""
