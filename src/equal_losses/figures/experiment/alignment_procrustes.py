import pandas as pd
from matplotlib.figure import Figure

from equal_losses.figures.experiment._alignment import alignment_figure


def alignment_procrustes(alignment: pd.DataFrame) -> Figure:
    """Orthogonal Procrustes distance up to scale between the features of any two trained networks, 0 where they are
    equal: laid out like the figure of the linear CKA."""
    return alignment_figure(alignment, "procrustes", "Procrustes distance", colormap="cividis", limits=(0, 2))
