"""Small images of kinds that the tests' own encoder does not write: `python make.py`, with Pillow 13, and with cjpeg and
jpegtran of libjpeg-turbo 2.1 (Debian: libjpeg-turbo-progs)."""

import subprocess
import tempfile
import zlib
from pathlib import Path

from PIL import Image

HERE = Path(__file__).parent
PHOTO = Image.open(HERE.parents[2] / "photos/chelsea.png").convert("RGB").crop((120, 60, 280, 180))


def small(width=40, height=30):
    return PHOTO.resize((width, height))


def with_alpha(image):
    image = image.convert("RGBA")
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    return image


def write_runs(path, image):
    """An 8-bit BMP with runs, which Pillow reads but does not write."""
    image = image.quantize(16)
    width, height = image.size
    pixels = image.load()
    data = b""
    for y in reversed(range(height)):
        x = 0
        while x < width:
            run = 1
            while x + run < width and pixels[x + run, y] == pixels[x, y] and run < 255:
                run += 1
            data += bytes([run, pixels[x, y]])
            x += run
        data += b"\0\0"
    data += b"\0\1"
    palette = image.getpalette()[:48]
    colours = b"".join(bytes([*palette[i : i + 3][::-1], 0]) for i in range(0, len(palette), 3))
    colours = colours.ljust(64, b"\0")
    offset = 54 + len(colours)
    numbers = [(offset + len(data), 4), (0, 4), (offset, 4), (40, 4), (width, 4), (height, 4), (1, 2), (8, 2)]
    numbers += [(1, 4), (len(data), 4), (0, 4), (0, 4), (16, 4), (0, 4)]
    header = b"BM" + b"".join(value.to_bytes(size, "little") for value, size in numbers)
    path.write_bytes(header + colours + data)
    return image


def write_interlaced(path, image):
    """An Adam7 PNG, which Pillow reads but does not write."""

    def chunk(kind, data):
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    width, height = image.size
    pixels = image.load()
    data = b""
    for x, y, dx, dy in [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]:
        for row in range(y, height, dy):
            data += b"\0" + b"".join(bytes(pixels[column, row]) for column in range(x, width, dx))
    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([8, 2, 0, 0, 1])
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(data, 9)) + chunk(b"IEND", b"")
    )


def write_scans(path, program, *options, scans=None):
    """A JPEG as cjpeg makes it of pixels, or jpegtran of `cmyk.jpg`; `scans` are the components of each scan."""
    with tempfile.TemporaryDirectory() as folder:
        source = HERE / "cmyk.jpg"
        if program == "cjpeg":
            source = Path(folder) / "small.ppm"
            small().save(source)
        if scans:
            script = Path(folder) / "scans.txt"
            script.write_text(scans)
            options = [*options, "-scans", script]
        path.write_bytes(subprocess.run([program, *options, source], check=True, capture_output=True).stdout)


small().save(HERE / "progressive.jpg", quality=80, progressive=True)
small().convert("L").save(HERE / "grey.jpg", quality=80)
small().convert("CMYK").save(HERE / "cmyk.jpg", quality=90)
write_scans(HERE / "separate-scans.jpg", "cjpeg", "-sample", "2x2", scans="0; 1; 2;")
write_scans(HERE / "separate-scans-vertical.jpg", "cjpeg", "-sample", "1x2", "-restart", "3B", scans="2; 0; 1;")
write_scans(HERE / "separate-scans-cmyk.jpg", "jpegtran", "-optimize", scans="0,3; 1; 2;")
write_scans(HERE / "partly-interleaved.jpg", "cjpeg", "-sample", "2x2", scans="0,1; 2;")
write_scans(HERE / "fine-chroma.jpg", "cjpeg", "-sample", "1x1,2x2,1x2")
write_scans(HERE / "refused-arithmetic.jpg", "cjpeg", "-arithmetic")
write_scans(HERE / "refused-sampling.jpg", "cjpeg", "-sample", "4x1,2x1,1x1", scans="0; 1; 2;")
with_alpha(small()).save(HERE / "lossy-alpha.webp", quality=60)
small().quantize(16).save(HERE / "palette.png", transparency=3)
small().quantize(4).save(HERE / "two-bits.png")
small().convert("1").save(HERE / "one-bit.png")
frames = [small(), small().rotate(90), small().rotate(180)]
frames[0].save(HERE / "animated.webp", save_all=True, append_images=frames[1:], lossless=True)
frames[0].quantize(64).save(HERE / "animated.gif", save_all=True, append_images=frames[1:])
write_runs(HERE / "runs.bmp", small())
write_interlaced(HERE / "interlaced.png", small())

# What Pillow reads from them, on white.
(HERE / "expected").mkdir(exist_ok=True)
for path in sorted(HERE.iterdir()):
    if path.is_file() and path.suffix != ".py" and not path.name.startswith("refused"):
        image = Image.open(path)
        if image.mode != "CMYK":
            page = Image.new("RGBA", image.size, "white")
            page.alpha_composite(image.convert("RGBA"))
            image = page
        image.convert("RGB").save(HERE / "expected" / f"{path.name}.png", optimize=True)
