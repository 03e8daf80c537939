"""The model of this project."""

from torch import nn


def build_model(config):
    """Make the model, untrained.

    TrainScript.py trains what this returns; whoever serves the trained model calls it with the same config.

    Args:
        config: A dict of what the model depends on: here `classes` and `width`.
    """
    width = config["width"]
    return nn.Sequential(
        nn.Conv2d(3, width, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(width, 2 * width, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveMaxPool2d(4),
        nn.Flatten(),
        nn.Linear(2 * width * 16, config["classes"]),
    )
