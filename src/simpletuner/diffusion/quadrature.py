"""A law of sigma as a few fixed points: what is averaged over them is averaged over the law. No torch here."""

from __future__ import annotations

from simpletuner.diffusion.timesteps import Law


def midpoints(law: Law, count: int) -> tuple[float, ...]:
    """The sigmas in the middle of ``count`` equal shares of ``law``: the midpoint rule on its quantile.

    ``E f(sigma)`` is the integral of ``f(quantile(u))`` over u in 0 to 1, so the plain mean of ``f`` over these points
    stands for it (Davis and Rabinowitz, Methods of Numerical Integration, section 2.1.1).
    """
    return tuple(law.quantile((place + 0.5) / count) for place in range(count))
