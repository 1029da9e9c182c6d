"""What a picture is, found by its content, and how it looks in a viewer: upright, on a background, with 8 bits a channel."""

from __future__ import annotations

import re
import struct
from contextlib import suppress
from functools import cache
from io import BytesIO
from pathlib import PurePosixPath

import numpy as np
from PIL import Image, ImageCms, ImageColor, ImageOps

# no others: PIL would hand EPS to Ghostscript; a TGA cannot be told by its content
_FORMATS = ("PNG", "JPEG", "BMP", "DIB", "WEBP", "GIF", "PPM", "TIFF", "JPEG2000", "AVIF", "PCX", "SGI", "QOI", "DDS", "ICO",
            "ICNS", "PSD", "SUN")  # fmt: skip
_TGA = {".tga", ".icb", ".vda", ".vst"}
SUFFIXES = {".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".mpo", ".bmp", ".dib", ".webp", ".gif", ".ppm", ".pgm",
            ".pbm", ".pnm", ".tif", ".tiff", ".jp2", ".j2k", ".jpc", ".jpf", ".jpx", ".avif", ".avifs", ".pcx", ".sgi", ".rgb",
            ".rgba", ".bw", ".qoi", ".dds", ".ico", ".icns", ".psd", ".ras", *_TGA}  # fmt: skip
HEAD = 64  # bytes that tell what a file is
_BEGINNINGS = re.compile(
    rb"\x89PNG\r\n\x1a\n|\xff\xd8\xff|GIF8[79]a|RIFF....WEBP|P[1-6][ \t\r\n#]|II\*\0|MM\0\*|II\+\0|MM\0\+|\0\0\0\x0cjP  |"
    rb"\xff\x4f\xff\x51|....ftyp(avif|avis|mif1|msf1)|qoif|8BPS|DDS |\0\0\1\0[\1-\xff]\0|icns|\x01\xda[\0\1][\1\2]|"
    rb"\x0a[\0\2-\5][\0\1][\1\2\4\x08]|\x59\xa6\x6a\x95|BM.{12}[\x0c\x28\x34\x38\x40\x6c\x7c]\0\0\0",
    re.DOTALL,
)
_MODES = {1: "L", 3: "RGB", 4: "RGBA"}
_ALPHA = ("RGBA", "LA", "PA", "La", "RGBa")


def claims_to_be_one(name: str) -> bool:
    """Whether the name ends as a picture's does: what is inside is then one, or damaged."""
    return PurePosixPath(name).suffix.lower() in SUFFIXES


def begins_as_one(head: bytes) -> bool:
    return _BEGINNINGS.match(head) is not None


def opened(content: bytes, name: str, max_megapixels: float) -> Image.Image:
    """The first picture in a file, not decoded yet; raises ValueError for one that would take too much memory."""
    formats = ("TGA", *_known()) if PurePosixPath(name).suffix.lower() in _TGA else _known()
    image = Image.open(BytesIO(content), formats=formats)
    if (megapixels := image.width * image.height / 1e6) > max_megapixels:
        raise ValueError(f"{megapixels:,.0f} megapixels are over data.max_megapixels={max_megapixels:g}, which raises it")
    return image


@cache
def _known() -> tuple[str, ...]:
    Image.init()
    return tuple(name for name in _FORMATS if name in Image.OPEN)


def as_seen(image: Image.Image, channels: int, background: str) -> Image.Image:
    """A picture as a viewer shows it, grey (1), RGB (3) or RGBA (4): turned as its EXIF says, 16 bits a channel scaled to 8,
    what is transparent on the background; of RGBA, colours that nobody sees are those of the background. Raises ValueError for
    a mode whose black and white are not known."""
    tags = getattr(image, "tag_v2", {})  # of a TIFF; turned, it has none
    bits = int(np.max(tags.get(258, 16)))
    with suppress(SyntaxError, ValueError, KeyError, TypeError, struct.error):  # damaged EXIF, which viewers pass over
        image = ImageOps.exif_transpose(image)
    image = _eight_bits(image, bits)
    if image.mode == "LAB":
        image = ImageCms.applyTransform(image, _from_lab()) or image
    if image.mode in _ALPHA or "transparency" in image.info:
        image = (image.convert("LA") if image.mode == "La" else image).convert("RGBA")
        ground = Image.new("RGBA", image.size, (*ImageColor.getrgb(background)[:3], 255))
        seen = Image.alpha_composite(ground, image)
        if channels == 4:
            alpha = image.getchannel("A")
            seen = Image.composite(image, ground, alpha.point(lambda a: 255 * (a > 0)))
            seen.putalpha(alpha)
        image = seen
    return image.convert(_MODES[channels])


@cache
def _from_lab() -> ImageCms.ImageCmsTransform:
    lab, rgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    return ImageCms.buildTransform(lab, rgb, "LAB", "RGB")


def _eight_bits(image: Image.Image, bits: int) -> Image.Image:
    """Grey of up to 16 bits, from black to white; others unchanged."""
    if not image.mode.startswith(("I", "F")):
        return image
    if image.mode == "F" or (image.mode == "I" and bits > 16):
        raise ValueError(f"mode {image.mode} has more than 16 bits a channel, of no known range: convert it to 8 bits")
    values, white = np.asarray(image).astype(np.int64), 2**bits - 1
    if values.min() < 0 or values.max() > white:
        raise ValueError(f"its values {values.min()} to {values.max()} are beyond 0 to {white}: convert it to 8 bits")
    grey = Image.fromarray(((values * 255 + white // 2) // white).astype(np.uint8))
    if isinstance(key := image.info.get("transparency"), int):
        grey.putalpha(Image.fromarray(np.where(values == key, 0, 255).astype(np.uint8)))
    return grey
