"""The examples of the original README run as they stand, but for import lines and the path."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from bench_data import ChunkDataset, verify
from PIL import Image

IMPORTS = """
import os

import torchvision.transforms as tf
from bench_data import ChunkDataset, ProcessorDataset, process_datasets
from PIL import Image
"""

CAT_DOG = """
class CatDog(ProcessorDataset):

    def __init__(self):
        self._dataset_path = "path/to/my/ds"
        self._data_list = os.listdir(self._dataset_path)

    @staticmethod
    def convert_label_to_numeric(animal: str) -> int:
        return 0 if animal == "cat" else 1

    def __len__(self):
        return len(self._data_list)

    def get_label_and_numeric_data(self, item):
        split = self._data_list[item].split(".")[0]
        assert len(split) == 3

        return self.convert_label_to_numeric(split[0])

    def get_file(self, item) -> list[str]:
        return [os.path.join(self._dataset_path, self._data_list[item])]
"""

CAT_DOG_CHUNK = """
class CatDogChunk(ChunkDataset):

    def __init__(self,
                 name: str):
        super().__init__(name)
        self._trans = tf.Compose([tf.PILToTensor(),
                                  tf.Resize((50, 50), antialias=False)])

    def __getitem__(self, item):
        labels, file = super().__getitem__(item)
        img_pil = Image.open(file[0]).convert('RGB')
        return labels, self._trans(img_pil)
"""

MAIN = """
def main():
    # Write your data loading code here
    process_datasets(CatDog(), CatDogChunk, "train")
"""

CORRECTED = CAT_DOG.replace("convert_label_to_numeric(split[0])", "convert_label_to_numeric(split)")

COUNT = 20


def draw_pets(folder: str) -> dict[str, Path]:
    """JPEG files of cats and dogs that differ in size and colour, by name."""
    Path(folder).mkdir(parents=True)
    random = np.random.default_rng(0)
    paths = {}
    for number in range(COUNT):
        name = f"{'cat' if number % 2 else 'dog'}.{number}.jpg"
        paths[name] = Path(folder, name)
        noise = random.integers(0, 256, (30 + number, 40, 3), np.uint8)
        image = Image.fromarray(noise)
        (image.convert("L") if number == 7 else image).save(paths[name])
    return paths


def run(script: str) -> str:
    """What a script says on standard error; it must succeed, and be silent on standard output."""
    Path("ProjectDatasets.py").write_text(script)
    command = [sys.executable, "ProjectDatasets.py"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (0, ""), ended.stderr
    return ended.stderr


def stored(root: str) -> dict[str, tuple[int, bytes]]:
    """Label and file of each sample of `train`."""
    assert verify(Path(root, "train")).ok
    dataset = ChunkDataset("train", root)
    samples = [dataset[item] for item in range(len(dataset))]
    return {file.name: (label, file.read_bytes()) for label, (file,) in samples}


TWICE = """
main()
main()
"""

LOAD = """
from bench_data import loader

dataset = CatDogChunk("train")
label, image = dataset[0]
assert (label, image.shape, image.dtype) == (1, (3, 50, 50), image.new_zeros(0).byte().dtype)
(batch,) = loader(dataset, batch_size=20)
assert (batch[0].tolist(), batch[1].shape) == ([1] * 20, (20, 3, 50, 50))
"""


def test_the_original_examples_run_as_they_stand() -> None:
    paths = draw_pets("path/to/my/ds")
    said = run(IMPORTS + CAT_DOG + CAT_DOG_CHUNK + MAIN + TWICE + LOAD)
    lines = [re.sub(r"[\d.]+ (MB|s\b)", r"N \1", line) for line in said.splitlines()]
    assert lines == [
        "train: 20 samples, N MB in 1 chunks (1 written, 0 kept) in N s",
        "train: loading test passed (20 samples) in N s",
        "train: nothing changed (20 samples in 1 chunks)",
        "train: loading test passed before",
    ]
    # The example's label function is given one letter, so it never finds a cat.
    assert stored(".bench/datasets") == {name: (1, path.read_bytes()) for name, path in paths.items()}


CORRECTED_IMPORTS = """
import os

from bench_data import ChunkDataset, ProcessorDataset, process_datasets
"""

CORRECTED_MAIN = """
if __name__ == "__main__":
    process_datasets(CatDog(), ChunkDataset, "train")
"""


def test_the_original_processor_with_a_corrected_label_function_tells_cats_from_dogs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A project's datasets lie beside its file, wherever in it the script is run.
    Path("bench.toml").write_text('[project]\nid = "0192f0c1-7a3b-7c55-9d2e-0f6b1c2d3e4f"\nname = "pets"\n')
    monkeypatch.setenv("BENCH_CONFIG_DIR", str(tmp_path / "nobody"))
    Path("Datasets").mkdir()
    monkeypatch.chdir("Datasets")
    paths = draw_pets("path/to/my/ds")
    run(CORRECTED_IMPORTS + CORRECTED + CORRECTED_MAIN)
    assert stored("../.bench/datasets") == {
        name: (0 if name.startswith("cat") else 1, path.read_bytes()) for name, path in paths.items()
    }


README_CHECKS = """
from torch.utils.data import DataLoader

assert info.samples == len(ds) == len(train) + len(valid) == 20
assert (len(train), len(valid)) == (18, 2)
assert ds.stacked([3, 1, 4]).shape == (3,)
images, labels = next(iter(dl))
assert (images.shape, labels.shape) == ((18, 3, 16, 16), (18,))
assert len(list(DataLoader(ds, shuffle=True))) == 20
assert dataset_info("out/train").fingerprint == info.fingerprint
assert report.ok and not report.problems
"""


def test_the_examples_of_our_readme_run_and_label_cats_and_dogs() -> None:
    readme = (Path(__file__).parent.parent / "README.md").read_text()
    blocks = re.findall(r"^```python\n(.*?)^```", readme, re.DOTALL | re.MULTILINE)
    assert len(blocks) == 6
    del blocks[2:5]  # need a server: bench-agent's tests do that
    for path in draw_pets("pets").values():
        with Image.open(path) as image:
            small = image.convert("RGB").resize((16, 16))
        small.save(path)
    assert run("\n".join(blocks) + README_CHECKS) == ""
    expected = {path.name: (int(path.name[0] != "c"), path.read_bytes()) for path in Path("pets").iterdir()}
    assert stored("out") == expected
