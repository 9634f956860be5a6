"""What Pillow makes of a few small pictures, for tests/preprocess.rs: `python make.py`, with Pillow 13."""

from pathlib import Path

import numpy as np
from PIL import Image

HERE = Path(__file__).parent
PHOTOS = HERE.parents[2] / "photos"
CROP_FRACTION = np.float32(0.875)


def write(name, source, width, height, filter):
    """The source, and its central square at width × height; the file's name says the filter."""
    side = int(CROP_FRACTION * np.float32(min(source.size)))
    left, top = ((extent - side + 1) // 2 for extent in source.size)
    square = source.crop((left, top, left + side, top + side))
    source.save(HERE / f"{name}.png", optimize=True)
    square.resize((width, height), Image.Resampling[filter.upper()]).save(
        HERE / f"{name}-{filter}.png", optimize=True
    )


def photo(name, box):
    return Image.open(PHOTOS / name).convert("RGB").crop(box)


noise = np.random.default_rng(1).choice(np.array([0, 255], np.uint8), (23, 31, 3))
write("shrunk", photo("chelsea.png", (90, 60, 291, 220)), 64, 64, "bicubic")
write("enlarged", photo("coffee.png", (210, 100, 251, 177)), 96, 80, "bicubic")
write("oblong", photo("astronaut.png", (160, 40, 291, 171)), 37, 150, "bilinear")
write("edges", Image.fromarray(noise), 70, 13, "bicubic")
