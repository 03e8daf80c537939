"""A writer with the methods of `torch.utils.tensorboard.SummaryWriter` that logs to a run.

Neither torch nor tensorboard is imported here.
"""

import contextlib
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any
from weakref import WeakKeyDictionary

from bench_track.errors import ValueLogError
from bench_track.held_run import HeldRun
from bench_track.leniency import warn_once
from bench_track.media import Histogram, Image, Text
from bench_track.run import Run
from bench_track.settings import OUTPUT_VARIABLE
from bench_track.values import number

BINS = 64
"""Of a histogram, where the caller names a rule of numpy's or tensorboard's."""

GROUP_CHARACTERS = 100

_folders: "WeakKeyDictionary[Run, list[str]]" = WeakKeyDictionary()
"""The folders of a run's writers, in their order."""


def _left_out(method: str) -> Callable[..., None]:
    def leave_out(self: "SummaryWriter", *args: Any, **kwargs: Any) -> None:
        warn_once(f"SummaryWriter.{method} does nothing: a run does not hold that")

    leave_out.__name__ = method
    leave_out.__doc__ = "Does nothing, and warns of it once: a run does not hold that."
    return leave_out


class SummaryWriter:
    """Takes what `torch.utils.tensorboard.SummaryWriter` takes, and logs it to a run.

    No event file is written. What is logged has the time of its call, and a call without a step the step
    after the last one of its tag. What a run does not hold (graphs, embeddings, meshes, sounds, videos,
    curves of precision, steps below 0) is left out with a warning.

    Args:
        log_dir: In TensorBoard a run's folder. Here it groups the run, if one is begun. Where several writers
            log to one run, the tags of those that have another folder than the first begin with its name.
        comment: Groups the run, if there is no `log_dir`.
        purge_step: Not needed here, as are the following; a line of a chart is what one process logged.
        max_queue: Nothing is queued.
        flush_secs: What is logged is written.
        filename_suffix: There is no file.
        run: The run; unless given, the one that goes on, else a new one. A new one ends with the script, or
            when a writer for another folder is made after this one was closed.

    Raises:
        TrackError: The run's folder cannot be made.

    Example:
        writer = SummaryWriter()
        for step in range(1000):
            writer.add_scalar("train/loss", train_step(), step)
    """

    def __init__(
        self,
        log_dir: str | os.PathLike[str] | None = None,
        comment: str = "",
        purge_step: int | None = None,
        max_queue: int = 10,
        flush_secs: float = 120,
        filename_suffix: str = "",
        *,
        run: Run | None = None,
    ) -> None:
        self._given = os.fspath(log_dir) if log_dir else None
        folder = os.path.abspath(self._given) if self._given else None
        group = (self._given or comment)[-GROUP_CHARACTERS:].replace("\0", "")
        self._held = HeldRun(folder, group=group or None, run=run)
        self._prefix = _prefix(self._held.run, folder)
        self._last_steps: dict[str, int] = {}

    @property
    def log_dir(self) -> str:
        """The folder that was given, else the kept one of a server's run, or the run's own. It is made."""
        folder = self._given or os.environ.get(OUTPUT_VARIABLE) or str(self._held.run.folder)
        with contextlib.suppress(OSError):  # whoever writes there will see
            os.makedirs(folder, exist_ok=True)
        return folder

    def get_logdir(self) -> str:
        """As `log_dir`."""
        return self.log_dir

    def add_scalar(
        self,
        tag: str,
        scalar_value: Any,
        global_step: Any = None,
        walltime: float | None = None,
        new_style: bool = False,
        double_precision: bool = False,
    ) -> None:
        """Log a number.

        Args:
            tag: Its name.
            scalar_value: A number, or a tensor or array of one value; one on a GPU is not waited for.
            global_step: The step; the one after the tag's last if not given.
            walltime: Not kept.
            new_style: Of event files.
            double_precision: Here always.

        Raises:
            ValueLogError: It is no number.
        """
        self._log(tag, {tag: scalar_value}, global_step, walltime)

    def add_scalars(
        self,
        main_tag: str,
        tag_scalar_dict: Mapping[str, Any],
        global_step: Any = None,
        walltime: float | None = None,
    ) -> None:
        """Log several numbers, under MAIN_TAG/TAG.

        Args:
            main_tag: The first part of their names.
            tag_scalar_dict: The others, and the numbers.
            global_step: As for `add_scalar`.
            walltime: Not kept.

        Raises:
            ValueLogError: One is no number.
        """
        values = {f"{main_tag}/{tag}": value for tag, value in tag_scalar_dict.items()}
        self._log(main_tag, values, global_step, walltime)

    def add_histogram(
        self,
        tag: str,
        values: Any,
        global_step: Any = None,
        bins: str | int | Sequence[float] = "tensorflow",
        walltime: float | None = None,
        max_bins: int | None = None,
    ) -> None:
        """Log how values are distributed.

        Args:
            tag: Its name.
            values: A tensor, array or sequence of numbers of any shape.
            global_step: As for `add_scalar`.
            bins: How many, or their edges; for the name of a rule 64 of equal width.
            walltime: Not kept.
            max_bins: No more than these, unless edges are given.

        Raises:
            ValueLogError: They are no numbers.
        """
        self._log(tag, {tag: _histogram(values, bins, max_bins)}, global_step, walltime)

    def add_image(
        self,
        tag: str,
        img_tensor: Any,
        global_step: Any = None,
        walltime: float | None = None,
        dataformats: str = "CHW",
    ) -> None:
        """Log an image.

        Args:
            tag: Its name.
            img_tensor: A tensor or array: uint8, or numbers from 0 to 1.
            global_step: As for `add_scalar`.
            walltime: Not kept.
            dataformats: What its dimensions are: "CHW", "HWC", "HW", or with an N for several images.

        Raises:
            ValueLogError: It is no image.
        """
        self._log(tag, {tag: _images(img_tensor, dataformats)}, global_step, walltime)

    def add_images(
        self,
        tag: str,
        img_tensor: Any,
        global_step: Any = None,
        walltime: float | None = None,
        dataformats: str = "NCHW",
    ) -> None:
        """Log several images. They stay apart, where TensorBoard has a grid of them.

        Args:
            tag: Their name.
            img_tensor: As for `add_image`, with a dimension more.
            global_step: As for `add_scalar`.
            walltime: Not kept.
            dataformats: What its dimensions are.

        Raises:
            ValueLogError: They are no images.
        """
        self._log(tag, {tag: _images(img_tensor, dataformats)}, global_step, walltime)

    def add_figure(
        self,
        tag: str,
        figure: Any,
        global_step: Any = None,
        close: bool = True,
        walltime: float | None = None,
    ) -> None:
        """Log a figure of matplotlib as an image.

        Args:
            tag: Its name.
            figure: The figure, or a list of them.
            global_step: As for `add_scalar`.
            close: Whether to close it.
            walltime: Not kept.

        Raises:
            ValueLogError: It is no figure.
        """
        images = [Image(one) for one in figure] if isinstance(figure, list) else Image(figure)
        self._log(tag, {tag: images}, global_step, walltime)
        pyplot = sys.modules.get("matplotlib.pyplot")
        if close and pyplot is not None:
            for one in figure if isinstance(figure, list) else [figure]:
                pyplot.close(one)

    def add_text(
        self, tag: str, text_string: str, global_step: Any = None, walltime: float | None = None
    ) -> None:
        """Log a text.

        Args:
            tag: Its name.
            text_string: The text.
            global_step: As for `add_scalar`.
            walltime: Not kept.
        """
        self._log(tag, {tag: Text(text_string)}, global_step, walltime)

    def add_hparams(
        self,
        hparam_dict: Mapping[str, Any],
        metric_dict: Mapping[str, Any],
        hparam_domain_discrete: Mapping[str, Sequence[Any]] | None = None,
        run_name: str | None = None,
        global_step: Any = None,
    ) -> None:
        """Say what the run is configured with and what it came to; of a key said twice, the last is kept.

        Args:
            hparam_dict: What goes into its configuration.
            metric_dict: Numbers, which are logged and go into its summary.
            hparam_domain_discrete: Of TensorBoard's page, as the following.
            run_name: Of a run of its own that TensorBoard makes here.
            global_step: As for `add_scalar`.

        Raises:
            ValueLogError: A metric is no number.
        """
        metrics = {name: number(name, value) for name, value in metric_dict.items()}
        run = self._held.run
        run.config.update(hparam_dict)
        run.summary.update(metrics)
        for name, value in metrics.items():
            self.add_scalar(name, value, global_step)

    add_audio = _left_out("add_audio")
    add_custom_scalars = _left_out("add_custom_scalars")
    add_custom_scalars_marginchart = _left_out("add_custom_scalars_marginchart")
    add_custom_scalars_multilinechart = _left_out("add_custom_scalars_multilinechart")
    add_embedding = _left_out("add_embedding")
    add_graph = _left_out("add_graph")
    add_histogram_raw = _left_out("add_histogram_raw")
    add_image_with_boxes = _left_out("add_image_with_boxes")
    add_mesh = _left_out("add_mesh")
    add_onnx_graph = _left_out("add_onnx_graph")
    add_pr_curve = _left_out("add_pr_curve")
    add_pr_curve_raw = _left_out("add_pr_curve_raw")
    add_tensor = _left_out("add_tensor")
    add_video = _left_out("add_video")

    def flush(self) -> None:
        """Nothing has to be done: what was logged is written, a value on a GPU as soon as it is there."""

    def close(self) -> None:
        """Let go of the run. Whoever logs after it takes it up again."""
        self._held.release()

    def __enter__(self) -> "SummaryWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _log(self, tag: str, values: dict[str, Any], global_step: Any, walltime: float | None) -> None:
        if walltime is not None:
            warn_once("SummaryWriter does not keep walltime: what is logged has the time of its call")
        step = self._last_steps.get(tag, -1) + 1 if global_step is None else int(global_step)
        if step < 0:
            warn_once("SummaryWriter leaves out what has a step below 0: a run's steps begin there")
            return
        self._held.run.log({self._prefix + _printable(name): value for name, value in values.items()}, step)
        self._last_steps[tag] = step


def _prefix(run: Run, folder: str | None) -> str:
    """What stands before the tags of a writer: so that two of one run never mix."""
    if folder is None:
        return ""
    folders = _folders.setdefault(run, [])
    if folder not in folders:
        folders.append(folder)
    first = folders[0]
    if folder == first:
        return ""
    beside = os.path.relpath(folder, os.path.commonpath([first, folder]))
    return f"{os.path.basename(folder) if beside == '.' else beside}/"


def _printable(name: str) -> str:
    return name if name.isprintable() else "".join(c if c.isprintable() else "_" for c in name)


def _histogram(values: Any, bins: str | int | Sequence[float], max_bins: int | None) -> Histogram:
    if isinstance(bins, str | int):
        count = BINS if isinstance(bins, str) else bins
        return Histogram(values, count if max_bins is None else min(count, max_bins))
    import numpy

    array = values.detach().cpu().double().numpy() if hasattr(values, "detach") else values
    counts, edges = numpy.histogram(array, bins=bins)
    return Histogram.of_counts(edges.tolist(), counts.tolist())


def _images(data: Any, dataformats: str) -> Image | list[Image]:
    letters = dataformats.upper()
    if not hasattr(data, "ndim") or data.ndim != len(letters) or {*"HW"} - {*letters}:
        shape = tuple(data.shape) if hasattr(data, "shape") else type(data).__name__
        raise ValueLogError(
            f"{shape} is no image of {dataformats!r}",
            hint="Give a tensor or array, and say what its dimensions are: dataformats='HWC'.",
        )
    order = [letters.index(letter) for letter in "NHWC" if letter in letters]
    data = data.permute(order) if hasattr(data, "permute") else data.transpose(order)
    kind = str(data.dtype).removeprefix("torch.")
    if "int" in kind and kind != "uint8":
        data = data * 1.0  # as torch's writer: such numbers go from 0 to 1 too
    return [Image(one, layout="HWC") for one in data] if "N" in letters else Image(data, layout="HWC")
