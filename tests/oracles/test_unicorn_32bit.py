"""Single instructions of 32-bit code against Unicorn: random operands, every form and lane.

Each case runs twice on our side: alone, as the last instruction before a deadline (generic
handlers), and in a kept block (specialised handlers).
"""

from __future__ import annotations

import pytest

from tests.oracles.single_instructions import check_forms, forms_of_family

pytestmark = [pytest.mark.oracle, pytest.mark.bounds]


@pytest.mark.parametrize("family", sorted(forms_of_family))
def test_instructions_do_what_unicorn_does(family):
    check_forms(forms_of_family[family], bits=32, seed=1)
