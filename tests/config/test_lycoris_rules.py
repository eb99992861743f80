from __future__ import annotations

from typing import Any

import pytest

from simpletuner.config.lycoris_rules import runs_as_branch


@pytest.mark.parametrize(
    ("settings", "branch"),
    [
        ({"algo": "lokr"}, True),
        ({"algo": "lokr", "dora_wd": False, "rank_dropout": 0.0}, True),
        ({"algo": "lokr", "dora_wd": True}, False),
        ({"algo": "lokr", "rank_dropout": 0.1}, False),
        ({"algo": "lokr", "bypass_mode": False}, False),
        ({"algo": "lora"}, False),
        ({"algo": "lora", "bypass_mode": True}, True),
    ],
)
def test_lokr_alone_is_a_branch_where_that_is_the_same_function(settings: Any, branch: bool) -> None:
    assert runs_as_branch(settings) is branch
