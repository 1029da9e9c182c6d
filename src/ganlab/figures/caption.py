"""What is written above a picture: which G it shows, and of when."""

from __future__ import annotations

from PIL import Image, ImageDraw, ImageFont

HEIGHT = 24  # pixels


def captioned_by(t: int | None, averaged: bool, which: str = "") -> str:
    """`average of G (EMA), iteration 1,200`, of the average that is scored and sampled, or of `G itself`."""
    whose = which or ("average of G (EMA)" if averaged else "G itself")
    return whose if t is None else f"{whose}, iteration {t:,}"


def captioned(image: Image.Image, caption: str) -> Image.Image:
    """The image below a strip with its caption, no larger than fits; as it is where there is none."""
    if not caption:
        return image
    size = 14.0
    font = ImageFont.load_default(size=size)
    while font.getlength(caption) > image.width - 6 and size > 6:
        size -= 1
        font = ImageFont.load_default(size=size)
    result = Image.new("RGB", (image.width, image.height + HEIGHT), "white")
    result.paste(image, (0, HEIGHT))
    ImageDraw.Draw(result).text((3, HEIGHT / 2), caption, fill="black", anchor="lm", font=font)
    return result
