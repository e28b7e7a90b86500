"""Single instructions of 16-bit code against Unicorn: 16-bit stack, operands and addresses."""

from __future__ import annotations

import pytest

from tests.oracles.single_instructions import check_forms, forms_of_family

pytestmark = pytest.mark.oracle


@pytest.mark.parametrize("family", sorted(forms_of_family))
def test_instructions_do_what_unicorn_does_in_16_bit_code(family):
    check_forms(forms_of_family[family], bits=16, seed=2)
