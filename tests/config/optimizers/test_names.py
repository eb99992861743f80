from __future__ import annotations

import re

from simpletuner.config.optimizers.names import CLIPS_ITSELF, KEEPS_BF16, OPTIMIZERS, REFUSED, SCHEDULE_FREE

# As SPEC 2.4 lists them.
SPECIFIED = (
    "adamw_bf16 adamw_schedulefree adamw_schedulefree+aggressive adamw_schedulefree+no_kahan "
    "ao-adamw8bit ao-adamw4bit ao-adamfp8 ao-adamwfp8 "
    "optimi-stableadamw optimi-adamw optimi-lion optimi-radam optimi-ranger optimi-adan optimi-adam optimi-sgd "
    "bnb-adagrad bnb-adagrad8bit bnb-adam bnb-adam8bit bnb-adamw bnb-adamw8bit bnb-adamw-paged bnb-adamw8bit-paged "
    "bnb-lion bnb-lion8bit bnb-lion-paged bnb-lion8bit-paged bnb-ademamix bnb-ademamix8bit bnb-ademamix-paged "
    "bnb-ademamix8bit-paged soap prodigy muon torch-adam torch-adamw torch-sgd torch-radam torch-nadam torch-rmsprop "
    "torch-adagrad torch-adadelta torch-adafactor torch-adamax torch-asgd torch-sparseadam"
).split()


def test_every_name_is_there_or_refused_with_a_reason() -> None:
    assert {*OPTIMIZERS, "torch-sparseadam"} == set(SPECIFIED)
    assert not set(OPTIMIZERS) & REFUSED.keys()
    assert {"torch-sparseadam", "dadaptation", "adafactor", "adamw8bit", "sdnq-lion"} <= REFUSED.keys()


def test_a_substitute_is_a_name_that_exists() -> None:
    for name, reason in REFUSED.items():
        if not name.startswith("sdnq-"):
            assert [word for word in re.split(r"[ ;]+", reason) if word in OPTIMIZERS], name


def test_groups_hold_names_that_exist() -> None:
    assert {*SCHEDULE_FREE, *CLIPS_ITSELF, *KEEPS_BF16} <= set(OPTIMIZERS)
    assert len(SCHEDULE_FREE) == 3
