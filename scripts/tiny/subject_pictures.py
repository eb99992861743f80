"""The subject of the example `emoji-subject`, drawn for this project: `python -m scripts.tiny.subject_pictures`.

Blip is a round teal creature with one eye and two antennae that no emoji set has. Eight poses, shaded like the 3D
emoji. Beside it go sixteen 3D emoji as regularisation data.
"""

from __future__ import annotations

import io
import logging
from dataclasses import dataclass

import resvg_py
from PIL import Image

from .emoji import PICTURE_SIZE, on_white
from .example_pictures import LICENCE
from .files import SUBJECT_EXAMPLE, TRAIN_3D, start_logging, write_bytes, write_text
from .npm import FLUENT_3D

PRIOR_NAMES = (
    "alien",
    "alien_monster",
    "beetle",
    "blue_circle",
    "cat_face",
    "crab",
    "eye",
    "frog",
    "ghost",
    "grinning_face",
    "octopus",
    "rabbit_face",
    "robot",
    "snail",
    "turtle",
    "unicorn",
)

_SHADES = """
<radialGradient id="body" cx="38%" cy="30%" r="78%">
<stop offset="0" stop-color="#7ff0dd"/><stop offset=".5" stop-color="#20b8a6"/><stop offset="1" stop-color="#0b6f78"/>
</radialGradient>
<radialGradient id="eye" cx="42%" cy="36%" r="70%">
<stop offset="0" stop-color="#ffffff"/><stop offset=".75" stop-color="#f2f4ff"/><stop offset="1" stop-color="#b9c2e6"/>
</radialGradient>
<radialGradient id="bulb" cx="36%" cy="30%" r="75%">
<stop offset="0" stop-color="#ffd79a"/><stop offset=".55" stop-color="#ff8a1f"/><stop offset="1" stop-color="#c2500a"/>
</radialGradient>
<linearGradient id="foot" x1="0" y1="0" x2="0" y2="1">
<stop offset="0" stop-color="#159a90"/><stop offset="1" stop-color="#08565f"/>
</linearGradient>
"""
_MOUTHS = {
    "smile": '<path d="M48 84 Q64 98 80 84" fill="none" stroke="#063f46" stroke-width="5" stroke-linecap="round"/>',
    "open": '<path d="M47 82 Q64 84 81 82 Q79 101 64 101 Q49 101 47 82Z" fill="#7a1430"/>'
    '<ellipse cx="64" cy="96" rx="9" ry="5" fill="#ff7d8d"/>',
    "oh": '<ellipse cx="64" cy="90" rx="7" ry="8" fill="#7a1430"/>',
}


@dataclass(frozen=True)
class Pose:
    """One drawing of the subject: where it looks (pixels), its mouth, its lean (degrees), its size, its arms."""

    name: str
    look: tuple[float, float] = (0.0, 0.0)
    mouth: str = "smile"
    lean: float = 0.0
    size: float = 1.0
    arms_up: bool = False
    asleep: bool = False


POSES = (
    Pose("plain"),
    Pose("laughing", mouth="open"),
    Pose("looking_left", look=(-6, 1)),
    Pose("looking_up", look=(1, -6), mouth="oh"),
    Pose("leaning_left", lean=-14, look=(-3, 2), size=0.9),
    Pose("leaning_right", lean=14, mouth="open", look=(3, 0), size=0.9),
    Pose("cheering", arms_up=True, mouth="open"),
    Pose("asleep", asleep=True, size=0.92),
)


def drawing(pose: Pose) -> str:
    """The pose as SVG, 128 x 128."""
    turn = f'transform="translate(64 70) rotate({pose.lean}) scale({pose.size}) translate(-64 -70)"'
    parts = (_antennae(), _arms(up=pose.arms_up), _body(), _eye(pose), _MOUTHS[pose.mouth])
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 128 128"><defs>{_SHADES}</defs>'
        f"<g {turn}>{''.join(parts)}</g></svg>"
    )


def _antennae() -> str:
    return (
        '<path d="M46 36 Q38 24 36 14 M82 36 Q90 24 92 14" stroke="#0f8b86" stroke-width="6" fill="none"/>'
        '<circle cx="35" cy="13" r="9" fill="url(#bulb)"/><circle cx="93" cy="13" r="9" fill="url(#bulb)"/>'
    )


def _arms(*, up: bool) -> str:
    path = "M24 70 Q8 58 10 40 M104 70 Q120 58 118 40" if up else "M24 76 Q10 82 10 96 M104 76 Q118 82 118 96"
    return f'<path d="{path}" stroke="#129088" stroke-width="11" fill="none" stroke-linecap="round"/>'


def _body() -> str:
    return (
        '<ellipse cx="46" cy="118" rx="15" ry="8" fill="url(#foot)"/>'
        '<ellipse cx="82" cy="118" rx="15" ry="8" fill="url(#foot)"/>'
        '<ellipse cx="64" cy="72" rx="46" ry="45" fill="url(#body)"/>'
        '<circle cx="31" cy="84" r="5" fill="#ffb14a"/><circle cx="97" cy="84" r="5" fill="#ffb14a"/>'
    )


def _eye(pose: Pose) -> str:
    if pose.asleep:
        return '<path d="M44 58 Q64 74 84 58" fill="none" stroke="#063f46" stroke-width="6" stroke-linecap="round"/>'
    x, y = 64 + pose.look[0], 56 + pose.look[1]
    return (
        '<circle cx="64" cy="56" r="22" fill="url(#eye)"/>'
        f'<circle cx="{x}" cy="{y}" r="12" fill="#3b1d6e"/><circle cx="{x - 4}" cy="{y - 5}" r="4" fill="#ffffff"/>'
    )


def picture(pose: Pose) -> bytes:
    """The pose as a PNG of 128 px on white."""
    png = resvg_py.svg_to_bytes(svg_string=drawing(pose), width=PICTURE_SIZE, height=PICTURE_SIZE)
    return on_white(Image.open(io.BytesIO(bytes(png))))


def main() -> None:
    """Write both folders of the example."""
    start_logging()
    for pose in POSES:
        write_bytes(SUBJECT_EXAMPLE / "blip" / f"{pose.name}.png", picture(pose))
    for name in PRIOR_NAMES:
        write_bytes(SUBJECT_EXAMPLE / "emoji" / f"{name}.png", (TRAIN_3D / f"{name}.png").read_bytes())
    about = f"These {len(PRIOR_NAMES)} pictures are Microsoft's Fluent Emoji (3D style), from\n"
    source = f"{FLUENT_3D.spec}. Changes: resized to 128 x 128\npixels on a white background.\n\n"
    write_text(SUBJECT_EXAMPLE / "emoji" / "LICENSE-fluent-emoji.txt", about + source + LICENCE)
    logging.info("%d poses, %d emoji in %s", len(POSES), len(PRIOR_NAMES), SUBJECT_EXAMPLE)


if __name__ == "__main__":
    main()
