import pandas as pd
from matplotlib.figure import Figure

from equal_losses.figures.experiment._alignment import alignment_figure


def alignment_cka(alignment: pd.DataFrame) -> Figure:
    """Linear CKA of the features of any two trained networks, 1 where they are equal up to rotation and scale:
    different losses from the same seed above the diagonal and from different seeds below it; controls are the same loss
    from different seeds (diagonal) and each loss against its untrained network (right)."""
    return alignment_figure(alignment, "cka", "linear CKA", colormap="cividis_r", limits=(0, 1))
