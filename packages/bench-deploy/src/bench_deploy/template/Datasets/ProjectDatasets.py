"""What the samples are, and how the model sees them.

`python manage.py --makemigrations` runs `main()`. Put your own data where the sample is: a ProcessorDataset
says which files and which label a sample has, a ChunkDataset turns them into tensors.
"""

import random
from pathlib import Path

import numpy as np
import torch
from bench_data import ChunkDataset, ProcessorDataset, process_datasets
from PIL import Image, ImageDraw

CLASSES = ["circle", "square"]
FOLDER = Path("data/shapes")  # from the project's folder: circle.0.png, square.1.png, ...


class Shapes(ProcessorDataset):
    """The files in the folder; a file's name begins with its class."""

    def __init__(self, folder):
        self._paths = sorted(str(path) for path in folder.glob("*.png"))

    def __len__(self):
        return len(self._paths)

    def get_file(self, item):
        return [self._paths[item]]

    def get_label_and_numeric_data(self, item):
        return CLASSES.index(Path(self._paths[item]).name.split(".")[0])


class ShapesChunk(ChunkDataset):
    """An image as a tensor (3, 32, 32) from 0 to 1, and its class."""

    def __getitem__(self, item):
        label, files = super().__getitem__(item)
        pixels = np.array(Image.open(files[0].open()).convert("RGB"), np.float32) / 255
        return torch.from_numpy(pixels).permute(2, 0, 1), label


def draw_sample(folder, count=2000):
    """Draw circles and squares, so that there is something to train on before you bring your own data."""
    folder.mkdir(parents=True)
    pick = random.Random(0)
    for number in range(count):
        name = CLASSES[number % 2]
        image = Image.new("RGB", (32, 32), tuple(pick.randrange(120) for _ in range(3)))
        draw = ImageDraw.Draw(image)
        left, top, size = pick.randrange(12), pick.randrange(12), pick.randrange(8, 20)
        shape = draw.ellipse if name == "circle" else draw.rectangle
        shape((left, top, left + size, top + size), fill=tuple(pick.randrange(80, 256) for _ in range(3)))
        image.save(folder / f"{name}.{number}.png")


def main():
    """Chunk every dataset of the project."""
    if not FOLDER.exists():
        draw_sample(FOLDER)
    process_datasets(Shapes(FOLDER), ShapesChunk, "train")


if __name__ == "__main__":
    main()
