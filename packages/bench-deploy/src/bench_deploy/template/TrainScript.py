"""Trains the model: python TrainScript.py --epochs 5. Started again, it goes on where it stopped."""

import argparse

import bench_track
import torch
from bench_data import loader
from Datasets.ProjectDatasets import CLASSES, ShapesChunk
from Models.ProjectModels import build_model
from torch import nn


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

    run = bench_track.init(config=vars(options), checkpoints="output/checkpoints")
    builders = {"model": (build_model, {"config": config})}  # with which a server makes the model again
    parts = {"model": model, "optimizer": optimizer, "loader": batches}
    step = 0
    if state := run.resume():  # of an attempt before this one; the loader goes on with the very next sample
        for name, part in parts.items():
            part.load_state_dict(state[name])
        step = state.step
        print(f"{state.path}: going on behind step {step}", flush=True)
    first = state["loader"]["epoch"] if state else 0

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
            run.checkpoint(parts, step=step, every=100, builders=builders)
        right = accuracy(model, valid_batches, device)
        mean = f"loss {torch.tensor(losses).mean():.4f}, " if losses else ""  # it stopped at the last batch
        print(f"epoch {epoch}: {mean}accuracy {right:.3f}", flush=True)
        run.log({"valid/accuracy": right}, step=step)
        batches.set_epoch(epoch + 1)
        run.checkpoint(parts, step=step, metric=right, builders=builders)


if __name__ == "__main__":
    main()
