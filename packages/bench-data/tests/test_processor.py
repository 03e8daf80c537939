"""Where samples come from: the user's class, a torch dataset, a folder per class."""

import io
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from bench_data import ChunkDataset, FileContent, ProcessorDataset, WriteOptions, write_chunks
from bench_data.errors import SourceError
from data_samples import Computed
from label_samples import same
from PIL import Image
from torch.utils.data import Dataset, TensorDataset
from torchvision.datasets import FakeData
from torchvision.transforms import ToTensor

OPTIONS = WriteOptions(workers=1, order="source", durable=False)


def picture(number: int, mode: str = "RGB", size: tuple[int, int] = (7, 5)) -> Image.Image:
    """A small image that is like no other."""
    noise = np.random.default_rng(number).integers(0, 256, (size[1], size[0], 4), np.uint8)
    return Image.fromarray(noise, "RGBA").convert(mode)


class Samples(Dataset[Any]):
    """A map-style dataset from a function; counts how often it is asked."""

    def __init__(self, make: Callable[[int], Any], count: int = 12) -> None:
        self.make, self.count, self.asked = make, count, 0

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, item: int) -> Any:
        self.asked += 1
        return self.make(item)


def through_chunks(dataset: Any, **changed: Any) -> list[Any]:
    """The samples of a torch dataset after they were written and read back."""
    options = WriteOptions(**{"workers": 1, "order": "source", "durable": False, **changed})
    write_chunks(ProcessorDataset.from_torch(dataset), "train", "out", options)
    chunked = ChunkDataset("train", "out")
    assert len(chunked) == len(dataset)
    return [chunked[item] for item in range(len(chunked))]


class Pair(NamedTuple):
    image: Any
    target: Any


SHAPES: list[tuple[Callable[[int], Any], list[int], Callable[[int], Any]]] = [
    (lambda item: picture(item), [0], lambda item: None),
    (lambda item: (picture(item), item), [0], lambda item: item),
    (lambda item: [item, picture(item)], [0], lambda item: item),
    (lambda item: (picture(item), item, "a"), [0], lambda item: (item, "a")),
    (lambda item: (picture(item), picture(item + 50)), [0, 50], lambda item: None),
    (lambda item: (picture(item), [1.5, item], picture(item + 50)), [0, 50], lambda item: [1.5, item]),
    (lambda item: {"x": picture(item), "y": item}, [0], lambda item: {"y": item}),
    (
        lambda item: {"x": picture(item), "y": item, "z": picture(item + 9), "t": (1, 2)},
        [0, 9],
        lambda item: {"y": item, "t": (1, 2)},
    ),
    (lambda item: Pair(picture(item), item), [0], lambda item: item),
]


@pytest.mark.parametrize(("make", "images", "label"), SHAPES)
def test_the_images_of_a_torch_sample_become_files_and_the_rest_its_label(
    make: Callable[[int], Any], images: list[int], label: Callable[[int], Any]
) -> None:
    for item, (found, files) in enumerate(through_chunks(Samples(make))):
        assert same(found, label(item))
        assert len(files) == len(images)
        for file, offset in zip(files, images, strict=True):
            assert file.name == "image.png"
            with Image.open(file) as image:
                assert (image.format, image.mode) == ("PNG", "RGB")
                assert image.tobytes() == picture(item + offset).tobytes()


@pytest.mark.parametrize(
    "make",
    [
        lambda item: item,
        lambda item: torch.full((2, 3), item),
        lambda item: (torch.tensor(item), "text"),
        lambda item: [item, {"deep": (item, b"x")}],
        lambda item: {"x": np.arange(item), "y": None},
        lambda item: Pair(item, 2.0),
    ],
)
def test_a_torch_sample_without_images_is_the_label_as_it_is(make: Callable[[int], Any]) -> None:
    found = through_chunks(Samples(make))
    assert all(same(label, make(item)) for item, label in enumerate(found))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_an_image_of_any_mode_of_png_comes_back_pixel_by_pixel(mode: str) -> None:
    def make(item: int) -> Image.Image:
        if mode == "I;16":
            return Image.fromarray(np.random.default_rng(item).integers(0, 1 << 16, (5, 7), np.uint16))
        return picture(item, "RGB").convert(mode)

    for item, (_, (file,)) in enumerate(through_chunks(Samples(make, 3))):
        with Image.open(file) as image:
            assert np.array_equal(np.asarray(image), np.asarray(make(item)))
            assert image.convert("RGB").tobytes() == make(item).convert("RGB").tobytes()


def test_an_image_that_png_has_not_is_named() -> None:
    with pytest.raises(SourceError, match=r"^sample 0: .*an image of mode CMYK cannot be saved as PNG"):
        through_chunks(Samples(lambda item: picture(item, "CMYK")))


def test_a_dataset_of_torchvision_is_chunked_as_it_is() -> None:
    dataset = FakeData(20, (3, 9, 8), num_classes=4)
    for item, (label, (file,)) in enumerate(through_chunks(dataset, workers=2)):
        image, target = dataset[item]
        assert label == int(target)
        with Image.open(file) as found:
            assert found.tobytes() == image.tobytes()


def test_a_dataset_of_torchvision_with_a_transform_is_chunked_as_tensors() -> None:
    dataset = FakeData(6, (3, 9, 8), num_classes=4, transform=ToTensor())
    for item, found in enumerate(through_chunks(dataset)):
        assert same(found, dataset[item])


def test_a_tensor_dataset_is_chunked_as_tuples_of_tensors() -> None:
    dataset = TensorDataset(torch.randn(30, 2, 3), torch.arange(30), torch.randn(30).bfloat16())
    assert all(same(found, dataset[item]) for item, found in enumerate(through_chunks(dataset, workers=2)))


def test_a_torch_dataset_is_asked_once_for_a_sample_and_its_label() -> None:
    dataset = Samples(lambda item: (picture(item), item))
    processor = ProcessorDataset.from_torch(dataset)
    for item in range(len(dataset)):
        (file,) = processor.get_file(item)  # type: ignore[misc]
        assert isinstance(file, FileContent)
        assert Image.open(io.BytesIO(file.data)).tobytes() == picture(item).tobytes()
        assert processor.get_label_and_numeric_data(item) == item
    assert dataset.asked == len(dataset)
    assert processor.get_label_and_numeric_data(3) == 3


def test_an_edited_sample_of_a_torch_dataset_is_seen() -> None:
    images = {item: picture(item) for item in range(12)}
    dataset = Samples(lambda item: (images[item], item))
    write_chunks(ProcessorDataset.from_torch(dataset), "train", "out", OPTIONS)
    assert write_chunks(ProcessorDataset.from_torch(dataset), "train", "out", OPTIONS).chunks_written == 0
    images[5] = picture(99)
    found = through_chunks(dataset)
    assert sorted(label for label, _ in found) == list(range(12))
    ((file,),) = [files for label, files in found if label == 5]
    with Image.open(file) as image:
        assert image.tobytes() == picture(99).tobytes()


def make_tree(*names: str) -> None:
    for name in names:
        path = Path("tree", name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)


def test_a_folder_per_class_is_labelled_in_sorted_order_without_hidden_files() -> None:
    make_tree("dog/b.txt", "dog/a.txt", "cat/z.txt", "cat/deep/er/y.txt", "Emu/1.txt")
    make_tree("loose.txt", ".git/config", "dog/.DS_Store", "dog/.cache/c.txt")
    Path("tree/zebra").mkdir()  # empty, and still a class
    processor = ProcessorDataset.from_folder("tree")
    assert processor.classes == ["Emu", "cat", "dog", "zebra"]
    write_chunks(processor, "train", "out", OPTIONS)
    dataset = ChunkDataset("train", "out")
    found = [dataset[item] for item in range(len(dataset))]
    assert [(label, file.read_bytes().decode()) for label, (file,) in found] == [
        (0, "Emu/1.txt"),
        (1, "cat/deep/er/y.txt"),
        (1, "cat/z.txt"),
        (2, "dog/a.txt"),
        (2, "dog/b.txt"),
    ]
    assert [file.name for _, (file,) in found] == ["1.txt", "y.txt", "z.txt", "a.txt", "b.txt"]


def test_a_new_class_folder_costs_the_chunks_whose_labels_move() -> None:
    make_tree("cat/1.txt", "dog/2.txt")
    write_chunks(ProcessorDataset.from_folder("tree"), "train", "out", OPTIONS)
    make_tree("bee/3.txt")
    write_chunks(ProcessorDataset.from_folder(Path("tree")), "train", "out", OPTIONS)
    dataset = ChunkDataset("train", "out")
    found = {files[0].name: label for label, files in (dataset[item] for item in range(3))}
    assert found == {"3.txt": 0, "1.txt": 1, "2.txt": 2}


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("nowhere", "nowhere is not a folder"),
        ("tree/cat/1.txt", "tree/cat/1.txt is not a folder"),
        ("tree/cat", "tree/cat holds no class folder with a file in it"),
        ("empty", "empty holds no class folder with a file in it"),
        ("hidden", "hidden holds no class folder with a file in it"),
    ],
)
def test_a_folder_without_classes_is_refused(path: str, message: str) -> None:
    make_tree("cat/1.txt", "../hidden/.cat/1.txt", "../hidden/dog/.1.txt")
    Path("empty/cat").mkdir(parents=True)
    with pytest.raises(SourceError) as caught:
        ProcessorDataset.from_folder(path)
    assert str(caught.value) == message


def test_a_folder_and_a_torch_dataset_travel_to_workers() -> None:
    make_tree("cat/1.txt", "dog/2.txt")
    folder = pickle.loads(pickle.dumps(ProcessorDataset.from_folder("tree")))
    assert (len(folder), folder.classes) == (2, ["cat", "dog"])
    wrapped = ProcessorDataset.from_torch(TensorDataset(torch.arange(3)))
    empty = len(pickle.dumps(wrapped))
    wrapped.get_file(1)  # what it remembers stays here
    assert len(pickle.dumps(wrapped)) == empty


class Minimal(ProcessorDataset):
    """Does not call super().__init__(), and has but a length."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count


class FilesOnly(Minimal):
    def get_file(self, item: int) -> Any:
        made = [
            f"tree/cat/{item}.txt",
            Path(f"tree/cat/{item}.txt"),
            FileContent(f"{item}.txt", b"cat/%d.txt" % item),
            [Path(f"tree/cat/{item}.txt")],
            (f"tree/cat/{item}.txt",),
        ]
        return made[item]


class LabelsOnly(Minimal):
    def get_label_and_numeric_data(self, item: int) -> int:
        return item


def test_only_a_length_is_needed() -> None:
    write_chunks(Minimal(3), "train", "out", OPTIONS)
    dataset = ChunkDataset("train", "out")
    assert (len(dataset), dataset[0], dataset[2]) == (3, None, None)


def test_a_file_may_be_given_alone_or_in_a_list_as_path_or_content() -> None:
    make_tree(*(f"cat/{item}.txt" for item in range(5)))
    write_chunks(FilesOnly(5), "train", "out", OPTIONS)
    for item in range(5):
        label, (file,) = ChunkDataset("train", "out")[item]
        assert (label, file.name, file.read_bytes()) == (None, f"{item}.txt", b"cat/%d.txt" % item)


def test_labels_alone_are_given_alone() -> None:
    write_chunks(LabelsOnly(5), "train", "out", OPTIONS)
    dataset = ChunkDataset("train", "out")
    assert [dataset[item] for item in range(5)] == list(range(5))


def test_a_class_without_a_length_cannot_be_made() -> None:
    class Lengthless(ProcessorDataset):
        pass

    with pytest.raises(TypeError, match="__len__"):
        Lengthless()  # type: ignore[abstract]


def test_write_options_stand_on_the_class_or_on_the_object() -> None:
    class Optioned(LabelsOnly):
        write_options = WriteOptions(order="source", workers=1)

    assert LabelsOnly(3).write_options == WriteOptions()
    write_chunks(Optioned(100), "train", "out")
    assert ChunkDataset("train", "out").stacked(range(100)).tolist() == list(range(100))
    processor = Optioned(100)
    processor.write_options = WriteOptions(seed=1, workers=1)
    write_chunks(processor, "train", "out")
    assert ChunkDataset("train", "out").stacked(range(100)).tolist() != list(range(100))


@pytest.mark.parametrize("name", ["a", "image.png", "日本語", "...", " ", "x" * 255])
def test_a_file_in_memory_may_have_any_base_name(name: str) -> None:
    processor = Computed(1, lambda _: FileContent(name, b"data"))
    write_chunks(processor, "train", "out", OPTIONS)
    _, (file,) = ChunkDataset("train", "out")[0]
    assert (file.name, file.read_bytes()) == (name, b"data")
