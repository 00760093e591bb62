"""Generated strategies: both engines tell the same story, bar by bar and trade by trade."""

from hypothesis import HealthCheck, given, settings

from tests.parity.generated import SETTINGS, frames, scripts
from tests.parity.scripts import compare, compare_results, run_ours, run_theirs

SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]


@settings(max_examples=2000, deadline=None, suppress_health_check=SLOW, derandomize=True)
@given(frame=frames(), script=scripts(), broker=SETTINGS)
def test_compat_mode_gives_what_backtesting_py_gives(frame, script, broker):
    compare(frame, script, **broker)


@settings(max_examples=600, deadline=None, suppress_health_check=SLOW, derandomize=True)
@given(frame=frames(), script=scripts(), broker=SETTINGS)
def test_honest_mode_gives_the_same_where_no_corrected_rule_was_touched(frame, script, broker):
    ours = run_ours(frame, script, compat=False, **broker)
    if not ours.touched:
        compare_results(run_theirs(frame, script, **broker), ours)
