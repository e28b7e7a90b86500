"""Stale translations for people: what a processor that checks its TLB has noticed (isa.tlb_check).

Source: SDM vol. 3A, "Recommended Invalidation"; "Delayed Invalidation".
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from isa import tlb_check
from isa import workspace as w
from isa.page_walk import FRAME, RIGHT_DIRTY, RIGHT_WRITE
from isa.workspace import Workspace


class TlbMode(StrEnum):
    """What kind of TLB a processor has."""

    NORMAL = "normal"
    CHECK = "check"  # each use of a stale translation is noted
    KEEP = "keep"  # as check, and nothing is forgotten before the guest says so


PAGE_MASK: Final = {TlbMode.NORMAL: 0, TlbMode.CHECK: w.TLB_MASK, TlbMode.KEEP: 0xFFFFF}
"""Which bits of a page number choose its place in the checked table."""


@dataclass(frozen=True)
class StaleTranslation:
    """A page that was used by a cached translation after its tables had changed: the first use.

    Attributes:
        gva: linear address of the access.
        eip: the instruction.
        instructions: how many were completed before it.
        access: "read" (a fetch too) or "write".
        is_user: made with user rights.
        cached: what the TLB said, in words.
        tables: what the tables said, in words.
        uses: how many accesses to the page were of this kind, this one included.
    """

    gva: int
    eip: int
    instructions: int
    access: str
    is_user: bool
    cached: str
    tables: str
    uses: int


def _in_words(translation: int) -> str:
    """A frame and its rights, or the fault that the tables ask for instead."""
    if translation < 0:
        return f"#PF({-1 - translation:#x})"
    words = [f"page {translation & FRAME:#x}"]
    words.append("writable" if translation & RIGHT_WRITE else "read-only")
    if translation & RIGHT_DIRTY:
        words.append("dirty")
    return " ".join(words)


def stale_translations(core: Workspace) -> list[StaleTranslation]:
    """What has been noticed, in order of first use, one a page; at most CHECK_FINDINGS_MOST."""
    area = int(core[w.TLB_CHECK])
    if not area:
        return []
    found = []
    for index in range(int(core[area + w.CHECK_FINDINGS])):
        at = area + w.CHECK_FIRST + index * w.CHECK_FINDING_WORDS
        words = [int(word) for word in core[at : at + w.CHECK_FINDING_WORDS]]
        access = words[tlb_check.FINDING_ACCESS]
        found.append(
            StaleTranslation(
                gva=words[tlb_check.FINDING_GVA],
                eip=words[tlb_check.FINDING_EIP],
                instructions=words[tlb_check.FINDING_COUNT],
                access="write" if access & 1 else "read",
                is_user=bool(access & 2),
                cached=_in_words(words[tlb_check.FINDING_CACHED]),
                tables=_in_words(words[tlb_check.FINDING_TABLES]),
                uses=words[tlb_check.FINDING_USES],
            )
        )
    return found
