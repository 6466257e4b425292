"""Bandits: closed forms against a numerical optimiser, and the guarantee in random families."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from candor.core.errors import InputError
from candor.rewards import bound
from candor.rewards.exact import bandit, optimum
from candor.rewards.exact.setting import Setting


def numerically(setting: Setting, objective) -> float:
    """The largest objective(ratio) by a general optimiser, from several starts."""
    prompts = len(setting.prompt_weight)
    rows = np.array([setting.weight_N * (setting.prompt_N == p) for p in range(prompts)])
    constraint = {"type": "eq", "fun": lambda L: rows @ L - setting.prompt_weight, "jac": lambda L: rows}
    best = -np.inf
    for seed in range(3):
        start = np.random.default_rng(seed).uniform(0.5, 1.5, size=len(setting.weight_N))
        found = minimize(
            lambda L: -objective(L),
            start,
            bounds=[(0, None)] * len(start),
            constraints=[constraint],
            method="SLSQP",
            options={"maxiter": 500, "ftol": 1e-13},
        )
        best = max(best, -float(found.fun))
    return best


def settings(count: int = 6) -> list[Setting]:
    return [s for family in ("plain", "heavy tails", "prompts") for s in bandit.draw(family, count, seed=3)]


def test_three_arms_have_the_checked_optima():
    setting = bandit.three_arms()
    assert (round(setting.r, 4), round(setting.sd_proxy, 4), round(setting.sd_true, 4)) == (
        0.7282,
        0.5562,
        0.5194,
    )
    chi2 = setting.standing(optimum.chi2_optimum(setting))
    assert chi2.true == pytest.approx(0.84, abs=0.005)
    np.testing.assert_allclose(optimum.chi2_optimum(setting) * setting.weight_N, [0, 0.92, 0.08], atol=0.002)
    kl = setting.standing(optimum.kl_in_hindsight(setting))
    assert kl.true == pytest.approx(0.582, abs=5e-4)
    assert setting.standing(optimum.greedy(setting)).hacked
    assert setting.standing(optimum.max_min_optimum(setting)).true > chi2.true > kl.true


def test_the_closed_form_is_the_optimum_of_sqrt_chi2_with_one_prompt_and_with_several():
    for setting in settings():
        w = setting.weight_of_theory / setting.sd_proxy

        def objective(L: np.ndarray, setting: Setting = setting, w: float = w) -> float:
            gain = setting.weight_N @ (L * setting.delta)
            return float(gain - w * np.sqrt(max(setting.weight_N @ (L - 1) ** 2, 1e-16)))

        ratio = optimum.chi2_optimum(setting)
        sums = np.bincount(setting.prompt_N, setting.weight_N * ratio)
        np.testing.assert_allclose(sums, setting.prompt_weight, rtol=1e-9)
        assert (ratio >= 0).all()
        assert objective(ratio) >= numerically(setting, objective) - 1e-6


def test_at_the_optimum_the_cut_proxy_has_variance_one_minus_r_squared():
    for setting in settings():
        ratio = optimum.chi2_optimum(setting)
        c = (setting.weight_of_theory / setting.sd_proxy) / np.sqrt(setting.standing(ratio).chi2)
        cut = c * ratio  # (δ - ν)₊
        within = np.bincount(setting.prompt_N, setting.weight_N * cut) / setting.prompt_weight
        np.testing.assert_allclose(within, c, rtol=1e-6)  # the same mean in every prompt
        variance = float(setting.weight_N @ (cut - within[setting.prompt_N]) ** 2)
        assert variance == pytest.approx(1 - setting.r**2, rel=1e-6)


def test_the_max_min_optimum_is_the_optimum_of_its_bound():
    for setting in settings():

        def objective(L: np.ndarray, setting: Setting = setting) -> float:
            gain = float(setting.weight_N @ (L * setting.delta))
            chi2 = float(setting.weight_N @ (L - 1) ** 2)
            return float(bound.max_min_bound(gain, max(chi2, gain**2 + 1e-14), setting.r))

        assert objective(optimum.max_min_optimum(setting)) >= numerically(setting, objective) - 1e-6


def test_the_kl_family_is_optimal_for_its_beta():
    for setting in settings(2):
        beta = 0.7 * setting.sd_proxy

        def objective(L: np.ndarray, setting: Setting = setting, beta: float = beta) -> float:
            logs = np.log(np.maximum(L, 1e-12))
            return float(setting.weight_N @ (L * (setting.within(setting.proxy_N) - beta * logs)))

        assert objective(optimum.kl_family(setting, beta)[0]) >= numerically(setting, objective) - 1e-6


@pytest.mark.parametrize("family", list(bandit.FAMILIES))
def test_no_optimum_at_the_theorys_weight_is_below_the_reference(family: str):
    found = bandit.compare(family, 100, seed=1)
    assert (found.gain["chi2"] > 0).all() and (found.gain["max-min"] > 0).all()
    assert found.bounds_held == 500
    assert (found.gain["chi2, hindsight"] >= found.gain["chi2"] - 1e-6).all()
    # Hindsight includes doing nothing, or nearly so.
    assert (found.gain["kl, hindsight"] > -0.01).all()


def test_a_guarantee_costs_where_there_is_nothing_to_fear_and_pays_where_there_is():
    mean = {
        family: {name: column.mean() for name, column in bandit.compare(family, 100, seed=2).gain.items()}
        for family in ("plain", "rare harm")
    }
    assert mean["plain"]["kl, hindsight"] > mean["plain"]["chi2"] > 0
    assert mean["rare harm"]["chi2"] > mean["rare harm"]["kl, hindsight"] > 0 > mean["rare harm"]["none"]


def test_the_worst_true_reward_gains_what_the_max_min_bound_says():
    for setting in settings():
        ratio = optimum.chi2_optimum(setting, 0.3 * setting.sd_proxy)
        worst = Setting.of(
            setting.weight_N, setting.proxy_N, setting.worst_true_reward(ratio), setting.prompt_N
        )
        stands = worst.standing(ratio)
        assert worst.r == pytest.approx(setting.r) and stands.true_gain == pytest.approx(
            stands.max_min, abs=1e-6
        )


def test_a_weight_of_one_standard_deviation_leaves_the_reference():
    setting = bandit.three_arms()
    np.testing.assert_array_equal(optimum.chi2_optimum(setting, setting.sd_proxy), 1)
    nearly = setting.standing(optimum.chi2_optimum(setting, 0.999 * setting.sd_proxy))
    assert nearly.gain > 0


def test_what_is_no_setting_is_told():
    with pytest.raises(InputError, match="positive probability"):
        Setting.of([0.5, 0.5, 0.0], [0, 1, 2], [0, 1, 2])
    with pytest.raises(InputError, match="field 'proxy': never varies"):
        Setting.of([0.5, 0.5], [1, 1], [0, 1])
    with pytest.raises(InputError, match="differ in length"):
        Setting.of([0.5, 0.5], [1, 2, 3], [0, 1])
    with pytest.raises(InputError, match="no finite number"):
        Setting.of([0.5, 0.5], [1, np.nan], [0, 1])
    with pytest.raises(InputError, match="correlation with the true reward is -1"):
        optimum.chi2_optimum(Setting.of([0.5, 0.5], [1, 0], [0, 1]))


def test_families_are_what_is_said_of_them():
    drawn = {family: bandit.draw(family, 40, seed=5) for family in bandit.FAMILIES}
    for family, found in drawn.items():
        assert len(found) == 40 and all(one.r > 0.01 for one in found)
        arms = [np.bincount(one.prompt_N).tolist() for one in found]
        assert arms == [[6] * 4 if family == "prompts" else [10]] * 40
    for one in drawn["rare harm"]:
        assert one.true_N.argmin() == one.proxy_N.argmax() == 9 and 1e-3 <= one.weight_N[9] <= 10**-1.5
    shares = np.array([one.weight_N[9] for one in drawn["rare harm"]])
    assert shares.min() < 0.003 and shares.max() > 0.01
    for one in drawn["nothing hacked"]:
        np.testing.assert_array_equal(np.argsort(one.proxy_N), np.argsort(one.true_N))
        assert (one.proxy_N > 0).all()  # exp of it
    noise = {
        name: np.concatenate([s.proxy_N - s.true_N for s in drawn[name]]) for name in ("plain", "heavy tails")
    }
    assert 0.85 < noise["plain"].std() < 1.15 and np.abs(noise["plain"]).max() < 5
    assert np.abs(noise["heavy tails"]).max() > 15
    levels = [np.ptp([one.true_N[one.prompt_N == p].mean() for p in range(4)]) for one in drawn["prompts"]]
    assert np.mean(levels) > 2  # their means are shifted
    assert not np.array_equal(drawn["plain"][0].proxy_N, bandit.draw("plain", 1, seed=6)[0].proxy_N)


def test_curves_are_optima_from_strong_to_weak_beside_the_weight_whose_they_are():
    setting = bandit.three_arms()
    found = bandit.curves(setting, 12)
    assert {name: len(rows) for name, rows in found.items()} == {"chi2": 12, "kl": 12}
    for name, solve in (
        ("chi2", lambda weight: optimum.chi2_optimum(setting, weight)),
        ("kl", lambda weight: optimum.kl_family(setting, weight)[0]),
    ):
        rows = found[name]
        gains = [row["gain"] for row in rows]
        assert gains == sorted(gains) and gains[0] < 0.1 and gains[-1] > 4
        for row in rows[3:-1]:
            again = setting.standing(solve(row["weight"]))
            if 1e-6 < row["weight"] < 0.999 * setting.sd_proxy:
                assert again.gain == pytest.approx(row["gain"], rel=1e-4)


def test_a_comparison_in_plain_numbers():
    gain = {
        "none": np.array([-1.0, 2.0, -1e-12, 0.5]),
        "chi2": np.array([0.5, 0.0, 0.25, 0.25]),
        "max-min": np.array([0.1, -0.1, 0.0, 0.2]),
        "kl, hindsight": np.array([0.4, 0.0, 0.3, 0.25]),
        "chi2, hindsight": np.array([0.5, 0.5, 0.5, 0.5]),
    }
    found = bandit.Comparison("plain", gain, 19, np.array([0.2, 0.4, 0.6, 0.8])).summary(seed=0)
    assert (found["settings"], found["mean_r"]) == (4, pytest.approx(0.5))
    assert (found["hacked_without"]["value"], found["chi2_at_least_kl"]["value"]) == (1 / 4, 3 / 4)
    assert (found["chi2_above_reference"], found["max_min_above_reference"]) == (3, 2)
    assert (found["bounds_held"], found["bounds_looked_at"]) == (19, 20)
    assert found["true_gain"]["chi2"]["value"] == pytest.approx(0.25)
    assert found["worst_true_gain"] == {name: column.min() for name, column in gain.items()}


def test_where_a_policy_stands_by_hand():
    """Two prompts on different levels: only what differs within a prompt counts, but for expected rewards."""
    setting = Setting.of([0.25, 0.25, 0.1, 0.4], [0, 2, 10, 11], [5, 3, 1, 1.5], ["x", "x", "y", "y"])
    proxy, true = np.array([-1, 1, -0.8, 0.2]), np.array([1, -1, -0.4, 0.1])
    weight = np.array([0.25, 0.25, 0.1, 0.4])
    sd_proxy, sd_true = np.sqrt(weight @ proxy**2), np.sqrt(weight @ true**2)
    assert (setting.sd_proxy, setting.sd_true) == (pytest.approx(sd_proxy), pytest.approx(sd_true))
    np.testing.assert_allclose(setting.delta, proxy / sd_proxy)
    np.testing.assert_allclose(setting.prompt_weight, [0.5, 0.5])
    r = (weight * proxy) @ true / sd_proxy / sd_true
    assert setting.r == pytest.approx(r) and r < 0
    ratio = np.array([0.0, 2.0, 0.5, 1.125])
    found = setting.standing(ratio)
    policy = np.array([0, 0.5, 0.05, 0.45])
    assert (found.proxy, found.true) == (pytest.approx(1 + 0.5 + 4.95), pytest.approx(1.5 + 0.05 + 0.675))
    gain, chi2 = float(policy @ proxy / sd_proxy), float(0.25 + 0.25 + 0.1 * 0.25 + 0.4 * 0.125**2)
    assert (found.gain, found.true_gain) == (pytest.approx(gain), pytest.approx(policy @ true / sd_true))
    assert found.chi2 == pytest.approx(chi2)
    assert found.kl == pytest.approx(0.5 * np.log(2) + 0.05 * np.log(0.5) + 0.45 * np.log(1.125))
    assert found.kappa == pytest.approx(gain / np.sqrt(chi2))
    assert found.theorem == pytest.approx(bound.theorem_bound(gain, chi2, r))
    assert found.max_min == pytest.approx(bound.max_min_bound(gain, chi2, r))
    assert found.certified == (found.kappa > np.sqrt(1 - r**2))
    assert found.hacked and found.as_dict()["hacked"] and found.gain > 0 > found.true_gain
    assert not setting.standing(np.ones(4)).hacked
    assert not setting.standing(np.array([2.0, 0, 1, 1])).hacked  # it loses by the proxy


def test_a_change_along_the_proxy_alone_has_no_worse_true_reward_than_its_correlation():
    setting = bandit.three_arms()
    along = setting.worst_true_reward(1 + 0.1 * setting.delta)
    np.testing.assert_allclose(along, setting.r * setting.delta, atol=1e-9)


def test_a_setting_of_one_prompt_has_no_labels_and_probabilities_may_err_in_the_tenth_digit():
    plain = Setting.of([0.5, 0.5], [0, 1], [1, 2])
    assert plain.prompt_N.tolist() == [0, 0]
    Setting.of([0.5, 0.5 + 5e-10], [0, 1], [1, 2])
    for weight in ([0.5, 0.5 + 1e-6], [0.5, 0.4], [1.5, -0.5]):
        with pytest.raises(InputError, match="positive probability"):
            Setting.of(weight, [0, 1], [1, 2])
    with pytest.raises(InputError, match="field 'true': never varies"):
        Setting.of([0.25] * 4, [0, 1, 0, 1], [1, 1, 2, 2], ["x", "x", "y", "y"])


def test_the_best_arms_alone_are_played_as_often_as_before_among_themselves():
    setting = Setting.of([0.1, 0.2, 0.2, 0.3, 0.2], [1, 3, 3, 0, 5], [0, 1, 2, 0, 1], [0, 0, 0, 1, 1])
    np.testing.assert_allclose(optimum.greedy(setting), [0, 1.25, 1.25, 0, 2.5])
    np.testing.assert_array_equal(optimum.chi2_optimum(setting, 1e-12), optimum.greedy(setting))
