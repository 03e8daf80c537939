"""Trains the model: python TrainScript.py --epochs 5. Started again, it goes on where it stopped."""

import argparse
import os
from pathlib import Path

import bench_track
import torch
from bench_data import loader
from Datasets.ProjectDatasets import CLASSES, ShapesChunk
from Models.ProjectModels import build_model
from torch import nn

CHECKPOINT = Path(os.environ.get("BENCH_OUTPUT", "output")) / "checkpoint.pt"


def save(state):
    """Write the checkpoint; whatever happens meanwhile, the file is the old one or the new one."""
    CHECKPOINT.parent.mkdir(parents=True, exist_ok=True)
    unfinished = CHECKPOINT.with_suffix(".tmp")
    torch.save(state, unfinished)
    os.replace(unfinished, CHECKPOINT)


def accuracy(model, batches, device):
    """The share of samples that the model gets right."""
    right = total = 0
    model.eval()
    with torch.no_grad():
        for images, labels in batches:
            found = model(images.to(device)).argmax(1).cpu()
            right += (found == labels).sum().item()
            total += len(labels)
    model.train()
    return right / total


def parse():
    """The options of this script."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--lr", type=float, default=3e-3)
    parser.add_argument("--width", type=int, default=16, help="channels of the first layer")
    parser.add_argument("--workers", type=int, default=2, help="processes that load samples")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def main():
    """Train."""
    options = parse()
    torch.manual_seed(options.seed)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    config = {"classes": len(CLASSES), "width": options.width}
    model = build_model(config).to(device)
    optimizer = torch.optim.Adam(model.parameters(), options.lr)

    train, valid = ShapesChunk("train").split(0.9, seed=0)
    sizes = {"batch_size": options.batch_size, "num_workers": options.workers}
    batches = loader(train, seed=options.seed, **sizes)
    valid_batches = loader(valid, shuffle=False, **sizes)

    run = bench_track.init(config=vars(options))
    first = step = 0
    if CHECKPOINT.exists():
        state = torch.load(CHECKPOINT, map_location=device)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        batches.load_state_dict(state["loader"])  # goes on with the very next sample
        first, step = state["loader"]["epoch"], state["step"]
        print(f"{CHECKPOINT}: going on in epoch {first}", flush=True)

    def checkpoint():
        parts = {"model": model, "optimizer": optimizer, "loader": batches}
        save({"config": config, "step": step, **{name: part.state_dict() for name, part in parts.items()}})

    for epoch in range(first, options.epochs):
        batches.set_epoch(epoch)
        losses = []
        for images, labels in batches:
            loss = nn.functional.cross_entropy(model(images.to(device)), labels.to(device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
            step += 1
            run.log({"train/loss": losses[-1]}, step=step)
            if len(losses) % 100 == 0:
                checkpoint()
        right = accuracy(model, valid_batches, device)
        print(f"epoch {epoch}: loss {sum(losses) / len(losses):.4f}, accuracy {right:.3f}", flush=True)
        run.log({"valid/accuracy": right}, step=step)
        batches.set_epoch(epoch + 1)
        checkpoint()


if __name__ == "__main__":
    main()
