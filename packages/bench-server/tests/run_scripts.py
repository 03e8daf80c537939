"""Training scripts as people write them."""

ARGPARSE = """
import argparse, pathlib
import numpy as np

parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int, default=1)
parser.add_argument("--rate", type=float, default=0.25)
options = parser.parse_args()
weight = np.zeros(1)
for epoch in range(options.epochs):
    error = weight - 2
    print("epoch", epoch, "loss", float(error[0] ** 2))
    weight -= options.rate * 2 * error
pathlib.Path("weights.txt").write_text(str(weight[0]))
"""

HYDRA = """
import logging, pathlib
import hydra

@hydra.main(version_base=None, config_path=".", config_name="config")
def main(config):
    logging.getLogger(__name__).info("lr is %s", config.lr)
    folder = hydra.core.hydra_config.HydraConfig.get().runtime.output_dir
    (pathlib.Path(folder) / "weights.txt").write_text("1")

main()
"""

LIGHTNING = """
import lightning, torch

class Model(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(8, 1)
    def training_step(self, batch, index):
        loss = self.layer(batch).pow(2).mean()
        self.log("loss", loss)
        return loss
    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)

batches = torch.utils.data.DataLoader(torch.randn(64, 8), batch_size=16)
trainer = lightning.Trainer(max_epochs=1, accelerator="cpu", log_every_n_steps=1)
trainer.fit(Model(), batches)
print("steps", trainer.global_step)
"""

COMPILED = """
import torch
from torch._dynamo.utils import counters

def plain(x):
    return (torch.sin(x) * 2 + torch.cos(x)).sum(1)

x = torch.randn(256, 256)
right = torch.allclose(torch.compile(plain)(x), plain(x), atol=1e-4)
found = counters["inductor"]["fxgraph_cache_hit"] + counters["aot_autograd"]["autograd_cache_hit"]
print(f"right {right}, found again {found > 0}")
"""

IDENTITY = """
import getpass, os, pathlib, pwd
print(getpass.getuser(), pwd.getpwuid(os.getuid()).pw_name, os.path.expanduser("~"))
path = pathlib.Path.home() / ".config" / "tool" / "settings"
path.parent.mkdir(parents=True)
path.write_text("written")
print(path.read_text())
"""

WORKERS = """
import torch

class Large(torch.utils.data.Dataset):
    def __len__(self):
        return 8
    def __getitem__(self, index):
        return torch.full((8 << 20,), float(index))  # 32 MiB

batches = torch.utils.data.DataLoader(Large(), batch_size=2, num_workers=2)
print(sum(batch.nbytes for batch in batches), "bytes")
"""

DATASET = """
import google.protobuf
from bench_data import ChunkDataset, loader

if __name__ == "__main__":
    print("protobuf", google.protobuf.__version__)
    try:
        import grpc
    except ImportError:
        print("no grpc")
    samples = [row[0] for batch in loader(ChunkDataset("train"), num_workers=2) for row in batch.tolist()]
    print(len(samples), "samples,", len(set(samples)), "different")
"""

RANKS = """
import torch.distributed as dist
from bench_data import ChunkDataset, loader

dist.init_process_group("gloo")
own = [row[0] for batch in loader(ChunkDataset("train"), batch_size=10) for row in batch.tolist()]
every = [None] * dist.get_world_size()
dist.all_gather_object(every, own)
if dist.get_rank() == 0:
    [size] = {len(part) for part in every}
    different = {sample for part in every for sample in part}
    print(f"{len(every)} ranks, {size} samples each, {len(different)} different", flush=True)
dist.destroy_process_group()
"""
