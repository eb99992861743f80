"""Options of a text encoder, which OmniGen has not: understood, so that files of others work."""

from __future__ import annotations

from simpletuner.config.option import Section, option
from simpletuner.config.sections.data import NO_TEXT_ENCODER


class TextEncoderConfig(Section):
    """What other model families do with their text encoders."""

    text_encoder_lr: float | None = option(None, unread=NO_TEXT_ENCODER, ge=0)
    """Learning rate of the text encoder."""
    text_encoder_1_precision: str | None = option(None, unread=NO_TEXT_ENCODER)
    """Number format of the first text encoder."""
    text_encoder_2_precision: str | None = option(None, unread=NO_TEXT_ENCODER)
    """Number format of the second text encoder."""
    text_encoder_3_precision: str | None = option(None, unread=NO_TEXT_ENCODER)
    """Number format of the third text encoder."""
    text_encoder_4_precision: str | None = option(None, unread=NO_TEXT_ENCODER)
    """Number format of the fourth text encoder."""
    offload_during_startup: bool = option(default=False, unread=NO_TEXT_ENCODER)
    """Keep the text encoders in the computer's memory while latents are cached."""
