import math

import torch
from torch import Tensor


def multiplied(cosines: Tensor, margin: int) -> Tensor:
    """psi_m = (-1)^k cos(m theta) - 2k of cos(theta), where theta is in [k pi/m, (k+1) pi/m], m = `margin`.

    It falls from 1 to 1 - 2m, is cos(theta) at theta = 0 and below it elsewhere (Liu et al. 2016). cos(m theta) is the
    Chebyshev polynomial of cos(theta), whose derivative, unlike that of theta, is finite everywhere.
    """
    with torch.no_grad():
        k = (margin * torch.acos(cosines.clamp(-1, 1)) / math.pi).floor().clamp(max=margin - 1)
    before, polynomial = torch.ones_like(cosines), cosines
    for _ in range(margin - 1):
        before, polynomial = polynomial, 2 * cosines * polynomial - before
    return (1 - 2 * (k % 2)) * polynomial - 2 * k


def added(cosines: Tensor, margin: float) -> Tensor:
    """cos(theta + m) of cos(theta), m = `margin`.

    Its derivative has no bound at theta = 0 and pi; there, to rounding, sin(theta) counts as constant.
    """
    sines = (1 - cosines.square()).clamp_min(torch.finfo(cosines.dtype).eps).sqrt()
    return math.cos(margin) * cosines - math.sin(margin) * sines
