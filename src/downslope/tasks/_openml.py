"""Data sets of openml.org, for the tasks that need a network once."""

from __future__ import annotations

import warnings

import numpy
import torch


def fetch(data_set: int) -> tuple[numpy.ndarray, numpy.ndarray]:
    """A picture set's rows of pixels from 0 to 255 and its classes, in the order of the set.

    Raises ConnectionError where it is neither reachable nor kept from an earlier time."""
    from importlib.util import find_spec

    from sklearn.datasets import fetch_openml

    parser = "pandas" if find_spec("pandas") else "liac-arff"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # one for each time it tries again
            bunch = fetch_openml(data_id=data_set, as_frame=False, parser=parser)
    except OSError as error:
        raise ConnectionError(
            f"openml.org cannot be reached for its data set {data_set} ({error}); run it once with a network, which "
            "keeps a copy in scikit-learn's data folder, or train a task that needs none, such as digits"
        ) from error
    return bunch.data.astype(numpy.uint8), bunch.target.astype(numpy.int64)


def parts(
    pixels: numpy.ndarray, labels: numpy.ndarray, shape: tuple[int, ...], train: int, validation: int, images: int
) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """The first `images` of the `train` ones to learn from, the last `validation` of them, and the test set behind;
    each colour shifted and scaled by its mean and deviation in the first part."""
    most = train - validation
    if not 1 <= images <= most:
        raise ValueError(f"images={images}: give 1 to {most:,}")
    cuts = [slice(0, images), slice(most, train), slice(train, None)]
    scaled = [torch.tensor(pixels[cut], dtype=torch.float32).unflatten(1, shape) for cut in cuts]
    learned = scaled[0].double()  # the same with any number of threads
    mean, deviation = learned.mean((0, 2, 3), keepdim=True), learned.std((0, 2, 3), keepdim=True)
    return [(((x - mean) / deviation).float(), torch.tensor(labels[cut])) for x, cut in zip(scaled, cuts)]
