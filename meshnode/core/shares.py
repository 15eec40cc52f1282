"""How many replicas each host should have: whole numbers, by weight, within what zones and partitions can take.

    all replicas --> zones, by the weight of their hosts, none above what spreading allows --> hosts, by weight

The rule: shares are within one of the exact quota, add up, and where a whole number is between two, whoever has more
already gets the larger, so that following them moves as little as can be.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from fractions import Fraction
from typing import TypeVar

K = TypeVar("K", bound=Hashable)


def zone_cap(factor: int, zone_sizes: Mapping[str, int]) -> int:
    """Most replicas of one partition in one zone when they are spread as evenly as the zones' sizes allow."""
    cap = 1
    while sum(min(size, cap) for size in zone_sizes.values()) < factor and cap < factor:
        cap += 1
    return cap


def fair_shares(
    total: int, weights: Mapping[K, int], caps: Mapping[K, int], have: Mapping[K, int], order: Mapping[K, str]
) -> dict[K, int]:
    """Divide `total` by weight with a cap each; `have` decides who gets the odd ones, then `order`.

    What does not fit below the caps is left out.
    """
    quotas = _fill(min(total, sum(caps.values())), weights, caps)
    shares = {key: int(quota) for key, quota in quotas.items()}
    left = min(total, sum(caps.values())) - sum(shares.values())
    odd = [key for key, quota in quotas.items() if quota > shares[key]]
    odd.sort(key=lambda key: (shares[key] - have.get(key, 0), shares[key] - quotas[key], order[key]))
    for key in odd[:left]:
        shares[key] += 1
    return shares


def _fill(total: int, weights: Mapping[K, int], caps: Mapping[K, int]) -> dict[K, Fraction]:
    """Exact quotas by weight; whoever would be above the cap gets the cap, and the others share the rest."""
    quotas: dict[K, Fraction] = {}
    waiting = {key: weight for key, weight in weights.items() if weight > 0}
    quotas.update({key: Fraction(0) for key in weights if key not in waiting})
    rest = Fraction(total)
    while waiting:
        weight = sum(waiting.values())
        full = [key for key in waiting if rest * waiting[key] >= caps[key] * weight]
        if not full:
            quotas.update({key: rest * waiting[key] / weight for key in waiting})
            break
        for key in full:
            quotas[key] = Fraction(caps[key])
            rest -= caps[key]
            del waiting[key]
    return quotas
