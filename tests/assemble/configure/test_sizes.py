from __future__ import annotations

from simpletuner.assemble.configure.sizes import lokr_text, lokr_values, lora_values, size_text


def test_the_documents_lokr_is_what_the_readme_counts() -> None:
    assert lokr_values(16, 8) == 42_504_192
    assert size_text(42_504_192) == "42.5 M values, 85 MB"


def test_the_shares_of_attention_and_feed_forward() -> None:
    assert lokr_text(16, 8) == "42.5 M values, 85 MB, 11% + 89%"
    assert lokr_text(25, 25) == "8.5 M values, 17 MB, 26% + 74%"


def test_a_larger_factor_is_smaller() -> None:
    found = [lokr_values(factor, factor) for factor in (4, 8, 16, 25, 32, 64)]
    assert found == sorted(found, reverse=True)
    assert lokr_values(16, 16) < lokr_values(16, 8) < lokr_values(8, 8)


def test_a_lora_grows_with_its_rank() -> None:
    # 32 blocks; four projections of 3072 x 3072, then 16384 x 3072 and 3072 x 8192.
    assert lora_values(1) == 32 * (4 * (3072 + 3072) + (16384 + 3072) + (3072 + 8192))
    assert lora_values(16) == 16 * lora_values(1)


def test_the_tiny_models_adapters_are_tiny() -> None:
    assert size_text(lokr_values(16, 8, "tiny")) == "84,992 values"
    assert lora_values(16, "tiny") < lora_values(1)
