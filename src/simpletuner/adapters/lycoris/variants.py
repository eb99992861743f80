"""What is put before LyCORIS's own classes, so that each method trains in bf16, resumes exactly and says what it saves.

LyCORIS 4.1 adds a delta to the frozen weight in the weight's type and takes the weight off again: of a young delta, a
thousandth of a bf16 weight, nine tenths are rounded away. Here no delta passes through a bf16 weight. These classes
know LyCORIS's by their attributes alone; `adapter.py`, its only door, joins the two.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, pad

from simpletuner.adapters.lycoris.masks import RankSchedule, rank_mask


def _wide(weight: Tensor) -> Tensor:
    return weight.detach().to(torch.promote_types(weight.dtype, torch.float32))


def _in_type_of_input(operation: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def cast(inputs: Tensor, weight: Tensor, bias: Tensor | None = None, **geometry: Any) -> Tensor:
        bias = None if bias is None else bias.to(inputs.dtype)
        return operation(inputs, weight.to(inputs.dtype), bias, **geometry)

    return cast


class _Laid(nn.Module):
    """A LyCORIS module over a layer."""

    org_module: list[Any]
    org_forward: Callable[[Tensor], Tensor]
    op: Callable[..., Tensor]
    kw_dict: Mapping[str, Any]
    multiplier: float
    bypass_mode: bool
    module_dropout: float
    rank_dropout: float

    def is_dropped(self) -> bool:
        """Whether this pass leaves the adapter of this layer out (``module_dropout``)."""
        return bool(self.module_dropout and self.training and torch.rand(1) < self.module_dropout)


class NewWeight(_Laid):
    """Before LoRA, LoHa and LoKr: where they are no branch, weight and delta are added in fp32."""

    def __init__(self, *args: Any, **options: Any) -> None:
        """Everything goes to LyCORIS's class."""
        super().__init__(*args, **options)
        if not self.bypass_mode:
            self.op = _in_type_of_input(self.op)

    def _current_weight(self) -> Tensor:
        return _wide(self.org_module[0].weight)


class ByDelta(_Laid):
    """Before GLoRA, IA3 and the OFT methods: where they are no branch, the layer and then its delta are applied."""

    get_diff_weight: Callable[..., tuple[Tensor, Tensor | None]]
    bypass_forward: Callable[[Tensor, float], Tensor]

    @property
    def org_weight(self) -> Tensor:
        """The frozen weight in the type of the trained values: LyCORIS multiplies the two."""
        weight: Tensor = self.org_module[0].weight
        return weight.detach().to(next(self.parameters()).dtype)

    def forward(self, inputs: Tensor) -> Tensor:
        """The layer with its adapter."""
        if self.is_dropped():
            return self.org_forward(inputs)
        if self.bypass_mode:
            output = self.bypass_forward(inputs, self.multiplier)
            # A trained fp32 scale makes fp32 of a bf16 output; autocast decides for itself.
            return output if torch.is_autocast_enabled(inputs.device.type) else output.to(inputs.dtype)
        delta, bias = self.get_diff_weight(self.multiplier, device=inputs.device)
        return self.org_forward(inputs) + _in_type_of_input(self.op)(inputs, delta, bias, **self.kw_dict)


class Difference(ByDelta):
    """Before LyCORIS's `full`: the trained values are the difference to the frozen weight, as its file has them.

    LyCORIS trains the sum and takes the weight off the layer; the difference that it saves is rounded.
    """

    weight: Tensor
    bias: Tensor | None
    dim: int

    def __init__(self, *args: Any, **options: Any) -> None:
        """Everything goes to LyCORIS's class; the copy that it makes of the frozen weight is given up."""
        super().__init__(*args, **options)
        self._org_weight: list[Tensor] = []
        self.org_bias = None

    def get_diff_weight(
        self, multiplier: float = 1.0, shape: Any = None, device: Any = None
    ) -> tuple[Tensor, Tensor | None]:
        """The difference of the weight and, where the layer has one, of its bias."""
        del shape, device
        kept: Tensor | float = multiplier
        if self.rank_dropout and self.training:
            kept = multiplier * (torch.rand(self.dim, device=self.weight.device) > self.rank_dropout)
        rows = kept if isinstance(kept, float) else kept.view(-1, *[1] * (self.weight.ndim - 1))
        return self.weight * rows, None if self.bias is None else self.bias * kept

    def custom_state_dict(self) -> dict[str, Tensor]:
        """What LyCORIS names these values."""
        return {"diff": self.weight} | ({} if self.bias is None else {"diff_b": self.bias})

    def load_weight_prehook(self, state: dict[str, Tensor], prefix: str, *_rest: Any) -> None:
        """Name the values of a file as the parameters are named."""
        for saved, own in (("diff", "weight"), ("diff_b", "bias")):
            if prefix + saved in state:
                state[prefix + own] = state.pop(prefix + saved)


class RankBlocks(ByDelta):
    """Before DyLoRA: which block of ranks a pass trains is drawn from torch's own stream, so that a recomputed or
    resumed pass draws the same; outside training all ranks are used. The scale is alpha / ranks used, so that all ranks
    together are the LoRA that the file holds (LyCORIS: alpha / blocks used, the same for blocks of one).
    """

    up_list: nn.ParameterList
    down_list: nn.ParameterList
    block_count: int
    block_size: int
    shape: tuple[int, ...]
    alpha: Tensor

    def get_random_rank_weight(self) -> tuple[Tensor, Tensor, Tensor]:
        """The two factors up to the block that is trained now, and their scale; earlier blocks are held."""
        last = int(torch.randint(self.block_count, ())) if self.training else self.block_count - 1
        up, down = (
            [*(block.detach() for block in blocks[:last]), blocks[last]] for blocks in (self.up_list, self.down_list)
        )
        return torch.cat(down), torch.cat(up, dim=1), self.alpha / ((last + 1) * self.block_size)

    def custom_state_dict(self) -> dict[str, Tensor]:
        """All blocks as the two factors of a LoRA."""
        up, down = torch.cat(list(self.up_list), dim=1), torch.cat(list(self.down_list))
        kernel = self.shape[2:]
        up, down = up.reshape(*up.shape, *[1] * len(kernel)), down.reshape(len(down), -1, *kernel)
        return {"alpha": self.alpha, "lora_up.weight": up, "lora_down.weight": down}

    def load_weight_prehook(self, state: dict[str, Tensor], prefix: str, *_rest: Any) -> None:
        """Split the two factors of a file into this module's blocks."""
        ranks = self.block_count * self.block_size
        up = state.pop(f"{prefix}lora_up.weight").reshape(-1, ranks).split(self.block_size, dim=1)
        down = state.pop(f"{prefix}lora_down.weight").reshape(ranks, -1).split(self.block_size)
        for name, blocks in (("up_list", up), ("down_list", down)):
            state.update({f"{prefix}{name}.{index}": block for index, block in enumerate(blocks)})


class RowRanks(_Laid):
    """Before T-LoRA: each row of a batch has the ranks of its own share of noise. LyCORIS has one mask for all.

    With P, lambda, Q trained, P0, lambda0, Q0 their first values and m the mask, LyCORIS's
    ``P lambda m Q x - P0 lambda0 m Q0 x`` is here ``(P lambda - P0 lambda0) m Q x + P0 lambda0 m (Q - Q0) x``: small
    differences of parameters instead of two large outputs, which cancel in bf16.
    """

    q_layer: nn.Linear
    p_layer: nn.Linear
    lambda_layer: Tensor
    base_q: Tensor
    base_p: Tensor
    base_lambda: Tensor
    lora_dim: int
    scale: float
    dropout: nn.Module
    schedule = RankSchedule()
    sigma: Tensor | None = None

    def __init__(self, *args: Any, **options: Any) -> None:
        """Everything goes to LyCORIS's class, which neither saves the first values nor loads without them."""
        super().__init__(*args, **options)
        for name in ("base_q", "base_p", "base_lambda"):
            self.register_buffer(name, self.get_buffer(name), persistent=False)

    def _initialize_from_svd(self, layer: nn.Linear, *_sizes: int) -> None:
        """LyCORIS's first values, the largest singular vectors, without a garbage collection for each layer.

        A card finds them in a fraction of the time.
        """
        home = layer.weight.device
        device = torch.device("cuda") if torch.cuda.is_available() else home
        found = torch.linalg.svd(layer.weight.detach().to(device, torch.float32), full_matrices=False)
        left, values, right = (part.to(home) for part in found)
        spare = max(self.lora_dim - len(values), 0)
        self.q_layer.weight.data = pad(right[: self.lora_dim], (0, 0, 0, spare)).contiguous()
        self.p_layer.weight.data = pad(left[:, : self.lora_dim], (0, spare)).contiguous()
        self.lambda_layer.data = pad(values[None, : self.lora_dim], (0, spare), value=1e-6).contiguous()

    def forward(self, inputs: Tensor) -> Tensor:
        """The layer with its adapter; ``inputs`` (B, ..., in), a row for each share of noise that was told."""
        base = self.org_forward(inputs)
        if self.is_dropped():
            return base
        return base + self.dropout(self._delta(inputs) * (self.scale * self.multiplier))

    def _delta(self, inputs: Tensor) -> Tensor:
        kind, mask = inputs.dtype, self._mask(inputs)
        q, p, scales = self.q_layer.weight, self.p_layer.weight, self.lambda_layer
        # First values as they were in the parameters' types: an untrained adapter is the base model to the bit.
        first_q, first_p, first_scales = (
            first.to(now.dtype).float() for first, now in zip(self._first(), (q, p, scales), strict=True)
        )
        first = first_p * first_scales
        inner = linear(inputs, q.to(kind)) * mask
        moved = linear(inputs, (q.float() - first_q).to(kind)) * mask
        return linear(inner, (p.float() * scales.float() - first).to(kind)) + linear(moved, first.to(kind))

    def _first(self) -> tuple[Tensor, Tensor, Tensor]:
        return self.base_q, self.base_p, self.base_lambda

    def _mask(self, inputs: Tensor) -> Tensor:
        """(B, 1, ..., rank) in the type of ``inputs``; all ranks before any share of noise is told."""
        if self.sigma is None:
            return inputs.new_ones(self.lora_dim)
        if len(self.sigma) != len(inputs):
            raise ValueError(f"{len(inputs)} rows of input for {len(self.sigma)} shares of noise")
        mask = rank_mask(self.sigma, self.lora_dim, self.schedule).to(inputs.dtype)
        return mask.view(len(inputs), *[1] * (inputs.ndim - 2), self.lora_dim)
