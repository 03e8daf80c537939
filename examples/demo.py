"""From a folder of images to a trained model, with a stop and a resume in the middle: `./run demo`.

It draws two classes of pictures, chunks them, verifies the chunks, trains a small network on them for two
epochs, stops in the middle of the second and goes on from the saved state.
"""

import argparse
import random
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from bench_data import (
    ChunkDataset,
    ProcessorDataset,
    WriteOptions,
    dataset_info,
    loader,
    verify,
    write_chunks,
)
from bench_data.data_loader import ChunkLoader
from PIL import Image, ImageDraw, ImageFilter
from torch import nn

CLASSES = ("disc", "square")
SIZE = 64
BATCH = 64


class Shapes(ProcessorDataset):
    """The drawn pictures: the class is the beginning of the file's name."""

    def __init__(self, folder: Path) -> None:
        self._paths = sorted(str(path) for path in folder.glob("*.jpg"))

    def __len__(self) -> int:
        return len(self._paths)

    def get_file(self, item: int) -> list[str]:
        return [self._paths[item]]

    def get_label_and_numeric_data(self, item: int) -> int:
        return CLASSES.index(Path(self._paths[item]).name.split("-")[0])


class ShapesChunk(ChunkDataset):
    """What the model sees: an image as (3, SIZE, SIZE) float32 in 0 .. 1, and its class."""

    def __getitem__(self, item: int) -> tuple[torch.Tensor, int]:
        label, files = super().__getitem__(item)
        pixels = np.asarray(Image.open(files[0].open()).convert("RGB"), np.float32) / 255
        return torch.from_numpy(pixels).permute(2, 0, 1), label


def draw(folder: Path, count: int) -> int:
    """Draw the pictures; returns their bytes."""
    rng, noise = random.Random(0), np.random.default_rng(0)
    total = 0
    for number in range(count):
        kind = CLASSES[number % 2]
        image = Image.fromarray(noise.integers(0, 100, (SIZE, SIZE, 3), np.uint8))
        centre, radius = [rng.randint(20, 44) for _ in range(2)], rng.randint(8, 16)
        box = [centre[0] - radius, centre[1] - radius, centre[0] + radius, centre[1] + radius]
        pen = ImageDraw.Draw(image)
        colour = tuple(rng.randint(120, 255) for _ in range(3))
        (pen.ellipse if kind == "disc" else pen.rectangle)(box, fill=colour)
        path = folder / f"{kind}-{number:05d}.jpg"
        image.filter(ImageFilter.GaussianBlur(0.8)).save(path, quality=90)
        total += path.stat().st_size
    return total


def network() -> nn.Module:
    """A few convolutions."""
    layers: list[nn.Module] = []
    for before, after in ((3, 16), (16, 32), (32, 32)):
        layers += [nn.Conv2d(before, after, 3, stride=2, padding=1), nn.BatchNorm2d(after), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(128, len(CLASSES)))


class Training:
    """A model, its optimizer and its loader: everything that a checkpoint holds."""

    def __init__(self, dataset: Any) -> None:
        torch.manual_seed(0)
        self.model = network()
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=3e-3)
        self.loader: ChunkLoader = loader(dataset, batch_size=BATCH, shuffle="exact", seed=0, num_workers=2)

    def epoch(self, number: int, stop_after: int | None = None) -> tuple[int, float]:
        """Train one epoch, or the rest of it; returns the number of samples and the mean loss."""
        self.loader.set_epoch(number)
        return self.go_on(stop_after)

    def go_on(self, stop_after: int | None = None) -> tuple[int, float]:
        """Train what is left of the epoch that the loader is in."""
        seen, losses = 0, 0.0
        for step, (images, labels) in enumerate(self.loader, 1):
            loss = nn.functional.cross_entropy(self.model(images), labels)
            self.optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
            seen, losses = seen + len(labels), losses + loss.item() * len(labels)
            if step == stop_after:
                break
        return seen, losses / seen

    def state(self) -> dict[str, Any]:
        """A checkpoint."""
        parts = (self.model, self.optimizer, self.loader)
        return {type(part).__name__: part.state_dict() for part in parts}

    def load(self, state: dict[str, Any]) -> None:
        """Go back to a checkpoint."""
        for part in (self.model, self.optimizer, self.loader):
            part.load_state_dict(state[type(part).__name__])


@torch.no_grad()
def accuracy(model: nn.Module, dataset: Any) -> float:
    """The share of the samples that the model gets right."""
    model.eval()
    right = 0
    for images, labels in loader(dataset, batch_size=BATCH, shuffle=False):
        right += int((model(images).argmax(1) == labels).sum())
    return right / len(dataset)


@contextmanager
def step(text: str) -> Iterator[None]:
    """Say what is done and how long it took."""
    print(f"\n== {text}", flush=True)
    began = time.monotonic()
    yield
    print(f"   {time.monotonic() - began:.1f} s", flush=True)


def run(folder: Path, count: int) -> None:
    """The whole path."""
    pictures, root = folder / "pictures", folder / "datasets"
    pictures.mkdir()
    with step(f"Draw {count:,} pictures in {pictures}"):
        print(f"   {draw(pictures, count) / 1e6:.1f} MB")
    with step(f"Chunk them into {root / 'shapes'}"):
        info = write_chunks(
            Shapes(pictures), "shapes", root=root, options=WriteOptions(workers=2), progress=True
        )
        print(f"   {info.samples:,} samples in {info.chunks} chunks, {info.bytes / 1e6:.1f} MB")
        print(f"   {info.samples / info.seconds:,.0f} samples/s, on the disk and with checksums")
    with step("Write again: nothing changed, nothing is written"):
        print(f"   {write_chunks(Shapes(pictures), 'shapes', root=root).chunks_written} chunks written")
    with step("Verify every byte"):
        report = verify(root / "shapes")
        print(f"   {report}")
        assert report.ok
    train_part, valid_part = ShapesChunk("shapes", root=root).split(0.9, seed=0)
    training = Training(train_part)
    with step("Train epoch 0"):
        seen, loss = training.epoch(0)
        print(f"   {seen:,} samples, loss {loss:.3f}")
    half = len(training.loader) // 2
    with step(f"Train epoch 1, and stop after {half} of its {len(training.loader)} steps"):
        seen, loss = training.epoch(1, stop_after=half)
        torch.save(training.state(), folder / "checkpoint.pt")
        print(f"   {seen:,} samples, loss {loss:.3f}; the loader's state: {training.loader.state_dict()}")
    with step("Start anew from the checkpoint and train the rest of epoch 1"):
        resumed = Training(train_part)
        resumed.load(torch.load(folder / "checkpoint.pt"))
        rest, loss = resumed.go_on()
        print(f"   {rest:,} samples, loss {loss:.3f}")
        assert seen + rest == len(train_part), "every sample once"
    with step("Validate"):
        print(f"   {accuracy(resumed.model, valid_part):.1%} of {len(valid_part):,} held-out pictures right")
    fingerprint = dataset_info(root / "shapes").fingerprint
    print(f"\nThe dataset's fingerprint, which its order follows from: {fingerprint}")


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description="From a folder of images to a trained model.")
    parser.add_argument("--count", type=int, default=4000, help="pictures to draw")
    parser.add_argument("--keep", type=Path, help="an empty folder to work in, which is kept")
    options = parser.parse_args()
    if options.keep:
        options.keep.mkdir(parents=True, exist_ok=True)
        run(options.keep, options.count)
        return
    with tempfile.TemporaryDirectory() as folder:
        run(Path(folder), options.count)


if __name__ == "__main__":
    main()
