"""The README's picture, from a finished example: ``python -m scripts.readme_pictures output/emoji-style``."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from simpletuner.config.find import example_folder
from simpletuner.config.prompts import read_prompts
from simpletuner.models.omnigen.layers import TINY_FOLDER
from simpletuner.validation.render import Sampling
from simpletuner.validation.save import save_picture
from simpletuner.validation.stitch import contact_sheet

from .drawing import draw, open_studio

TARGET = Path("docs/images/emoji-style.png")
SAMPLING = Sampling(steps=20, guidance=2.5, seed=42)
_log = logging.getLogger("readme")


def main() -> None:
    """Draw the example's prompts with the base model and with the trained adapter, one above the other."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output_dir", type=Path)
    trained = parser.parse_args().output_dir
    library = read_prompts(example_folder("emoji-style") / "prompts.json")
    prompts = [entry.prompt for entry in library]
    base, after = (draw(open_studio(TINY_FOLDER, run), prompts, 64, SAMPLING) for run in (None, trained))
    sheet = contact_sheet([("base", base), ("+ LoKr", after)], prompts, cell=128, label_width=80)
    save_picture(sheet, TARGET, "png", 100, {})
    _log.info("wrote %s", TARGET)


if __name__ == "__main__":
    main()
