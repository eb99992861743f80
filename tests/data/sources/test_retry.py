from __future__ import annotations

import pytest

from simpletuner.data.sources.retry import persist


def always(_error: BaseException) -> bool:
    return True


class Shaky:
    def __init__(self, faults: int, kind: type[Exception] = OSError) -> None:
        self.calls = 0
        self._faults = faults
        self._kind = kind

    def __call__(self) -> str:
        self.calls += 1
        if self.calls <= self._faults:
            raise self._kind(f"fault {self.calls}")
        return "done"


def test_a_passing_fault_is_borne() -> None:
    action = Shaky(faults=4)
    assert persist(action, always, (OSError,), pause=0) == "done"
    assert action.calls == 5


def test_the_last_fault_is_told() -> None:
    with pytest.raises(OSError, match="fault 5"):
        persist(Shaky(faults=9), always, (OSError,), pause=0)


def test_what_is_final_is_not_tried_again() -> None:
    action = Shaky(faults=9)
    with pytest.raises(OSError, match="fault 1"):
        persist(action, lambda _error: False, (OSError,), pause=0)


def test_other_faults_are_none_of_its_business() -> None:
    with pytest.raises(ValueError, match="fault 1"):
        persist(Shaky(faults=9, kind=ValueError), always, (OSError,), pause=0)
