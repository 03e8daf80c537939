"""What is trained: each a whole TrainScript.py."""

IMPORT = """
import time

import torch

print(time.time())
"""
"""Its first line of output is when it had its import behind it."""

TALK = """
import random
import time

for _ in range({lines}):
    print(time.time())
    time.sleep(random.uniform(0, 0.04))
"""
"""Each line is when it was written."""

FLOOD_LINES, FLOOD_LINE_BYTES, FLOOD_BLOCK_LINES = 10_000_000, 100, 10_000
"""1 GB."""

FLOOD = f"""
import sys
import time

rest = "." * 86
start = time.time()
for first in range(0, {FLOOD_LINES}, {FLOOD_BLOCK_LINES}):
    block = "".join([f"{{line:012d}} {{rest}}\\n" for line in range(first, first + {FLOOD_BLOCK_LINES})])
    sys.stdout.buffer.write(block.encode())
print(start)
"""
"""Numbered lines, as fast as they come; then when it began."""


def flood_block(first: int) -> bytes:
    """What FLOOD writes at a time."""
    rest = "." * 86
    lines = [f"{line:012d} {rest}\n" for line in range(first, first + FLOOD_BLOCK_LINES)]
    return "".join(lines).encode()


STEPS = """
import statistics
import time

import torch

torch.manual_seed(0)
model = torch.nn.Sequential(
    torch.nn.Conv2d(3, 32, 3, padding=1),
    torch.nn.ReLU(),
    torch.nn.Conv2d(32, 32, 3, padding=1),
    torch.nn.ReLU(),
    torch.nn.AdaptiveAvgPool2d(1),
    torch.nn.Flatten(),
    torch.nn.Linear(32, 10),
)
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
images, classes = torch.randn(16, 3, 32, 32), torch.randint(10, (16,))
seconds = []
for step in range({steps}):
    start = time.perf_counter()
    loss = torch.nn.functional.cross_entropy(model(images), classes)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    value = loss.item()
    seconds.append(time.perf_counter() - start)
    print(f"step {{step}}, loss {{value:.4f}}")
print(statistics.median(seconds[{steps} // 5 :]))
"""
"""A small network for images, a line for each step; the last line is the median of a step, in seconds."""
