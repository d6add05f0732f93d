"""Rules are exact for what they should be, and their null rules are zero there."""

from __future__ import annotations

import numpy as np
import pytest

from nucleoscope.engine.gradients.quadrature import NAMES, clenshaw_curtis, rule, signs


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("n", [2, 7, 8, 50])
def test_weights_sum_to_one(name: str, n: int) -> None:
    """Of captum's trapezoid they sum to (n - 1) / n."""
    made = rule(name, n)
    assert len(made) == n
    assert made.weights.sum() == pytest.approx(1, abs=1e-14)
    assert made.null.sum() == pytest.approx(0, abs=1e-14)
    assert (np.diff(made.nodes) > 0).all()
    assert made.nodes[0] >= 0
    assert made.nodes[-1] <= 1


@pytest.mark.parametrize("n", [1, 3, 8, 16])
def test_gauss_legendre_is_exact_for_polynomials(n: int) -> None:
    made = rule("gauss_legendre", n)
    for degree in range(2 * n):
        assert made.weights @ made.nodes**degree == pytest.approx(1 / (degree + 1), abs=1e-14)
    for degree in range(n - 1):
        assert made.null @ made.nodes**degree == pytest.approx(0, abs=1e-13)
    if n > 1:
        assert np.linalg.norm(made.null) == pytest.approx(np.linalg.norm(made.weights))


@pytest.mark.parametrize("n", [8, 16, 24, 72])
def test_the_halves_of_midpoints_do_not_differ_along_a_line(n: int) -> None:
    made = rule("midpoint", n)
    assert made.null @ made.nodes == pytest.approx(0, abs=1e-14)
    np.testing.assert_allclose(made.null, 0.9 * (2 / 3) ** 0.5 * signs(n) / n)


@pytest.mark.parametrize("n", [8, 24, 72])
def test_of_jumps_anywhere_the_null_rule_of_midpoints_makes_nearly_twice_the_error(n: int) -> None:
    made, at = rule("midpoint", n), (np.arange(2000 * n) + 0.5) / (2000 * n)
    jumps = (made.nodes[:, None] < at).astype(float)
    error, bar = made.weights @ jumps - at, made.null @ jumps
    assert np.sqrt((bar**2).mean() / (error**2).mean()) == pytest.approx(1.8, rel=1e-5)


def test_tripled_midpoints_hold_the_old_ones_with_the_other_sign() -> None:
    old, new = rule("midpoint", 8), rule("midpoint", 24)
    np.testing.assert_allclose(new.nodes[1::3], old.nodes)
    np.testing.assert_array_equal(np.sign(new.null[1::3]), -np.sign(old.null))


@pytest.mark.parametrize("n", [3, 5, 9, 33])
def test_clenshaw_curtis_is_nested_and_exact(n: int) -> None:
    made = clenshaw_curtis(n)
    for degree in range(n):
        assert made.weights @ made.nodes**degree == pytest.approx(1 / (degree + 1), abs=1e-14)
    if n > 3:
        inside = clenshaw_curtis((n + 1) // 2)
        np.testing.assert_allclose(made.nodes[::2], inside.nodes, atol=1e-15)
        np.testing.assert_allclose((made.weights - made.null)[::2], inside.weights, atol=1e-15)


@pytest.mark.parametrize("call", [lambda: rule("simpson", 8), lambda: rule("midpoint", 0)])
def test_bad_rules_are_refused(call) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=r"method='simpson': use one of|n_steps=0: the rule"):
        call()
    with pytest.raises(ValueError, match="needs at least 2"):
        rule("trapezoid", 1)
    with pytest.raises(ValueError, match="2\\^k"):
        clenshaw_curtis(8)
