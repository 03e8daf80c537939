"""A client in another language that has nothing of ours but the contracts."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import bench_protos
import numpy as np
import pytest
from bench_data import ProcessorDataset, WriteOptions, dataset_info, write_chunks
from server_tools import PASSWORD, new_account

NODE = Path(__file__).parent / "node"


class Rows(ProcessorDataset):
    """Label-only samples."""

    def __len__(self) -> int:
        return 3_000

    def get_label_and_numeric_data(self, item: int) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
        return np.random.default_rng(item).random(128)


@pytest.mark.needs("node", "npm")
def test_the_whole_path_from_node(server_address: str, tmp_path: Path) -> None:
    shutil.copytree(NODE, tmp_path / "node")
    install = ["npm", "install", "--no-audit", "--no-fund", "--loglevel=error"]
    subprocess.run(install, cwd=tmp_path / "node", check=True, timeout=300)
    options = WriteOptions(workers=1, chunk_bytes=1_500_000)  # two messages each, and more than one chunk
    write_chunks(Rows(), "train", root=tmp_path, options=options)
    account = new_account(server_address)

    protos = Path(bench_protos.__file__).parents[1]
    words = [server_address, str(protos), account.username, PASSWORD, str(tmp_path / "train")]
    done = subprocess.run(
        ["node", "whole_path.mjs", *words],
        cwd=tmp_path / "node",
        env={**os.environ, "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )

    assert done.stderr == ""
    info = dataset_info(tmp_path / "train")
    assert json.loads(done.stdout) == {
        "files": info.chunks + 1,
        "same": True,
        "fingerprint": info.fingerprint,
    }
    assert info.chunks > 1
