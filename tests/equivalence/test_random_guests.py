"""Random guests: the same end and the same state, bare and under ring compression."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.equivalence.random_guests import random_guest
from tests.hypervisor.small_guests import assert_equal, guest

pytestmark = pytest.mark.compiled


@settings(max_examples=120)
@given(seed=st.integers(0, 2**32), pieces=st.integers(1, 40))
def test_a_random_guest_ends_in_the_same_state(seed, pieces):
    guest.cache_clear()
    assert_equal(random_guest(seed, pieces), reason=None)


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32), pieces=st.integers(1, 40))
def test_a_random_guest_is_equal_where_everything_sensitive_traps(seed, pieces):
    guest.cache_clear()
    assert_equal(random_guest(seed, pieces), reason=None, cpu="virtualizable")


def test_random_guests_do_what_they_are_meant_to_test():
    exits: dict[str, int] = {}
    for seed in range(12):
        for name, count in assert_equal(random_guest(seed, 40), reason=None).exits.items():
            exits[name] = exits.get(name, 0) + count
    wanted = {"trace", "page_fault_true", "page_fault_hidden", "exception", "virtual_interrupt"}
    wanted |= {"segment_load", "mov_cr", "iret", "software_interrupt", "invlpg", "memory_access"}
    assert wanted <= exits.keys()
