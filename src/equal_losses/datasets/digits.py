import numpy as np

from equal_losses.datasets._images import Images

CLASSES = 10
SIZE = (1797, 0, 8, 8, 1)


def digits() -> Images:
    """scikit-learn's 1,797 handwritten digits (UCI, Alpaydin and Kaynak 1998): 8 x 8, grey, without a test part."""
    from sklearn.datasets import load_digits

    source = load_digits()
    images = np.rint(source.images * (255 / 16)).astype(np.uint8)[..., None]
    return Images(images, source.target.astype(np.int64), None, None, [str(digit) for digit in range(10)])
