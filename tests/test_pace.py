"""The moments at which what is watched is shown: the same for all, and fewer for a crowd."""

import itertools

import pytest

from ui.pace import FEW, MANY, SHORTEST, Pace


class Clock:
    """Seconds that pass only when told to."""

    def __init__(self, now):
        self.now = now

    def __call__(self):
        return self.now


def moments(pace, every, viewers, takes, count=40, start=1000.03):
    """When a subject is looked at that always has news; a look `takes` so long, in turn."""
    pace.clock.now = start
    found = []
    for _, took in zip(range(count), itertools.cycle(takes), strict=False):
        found.append(begun := pace.clock())
        pace.clock.now += took
        pace.clock.now += pace.until_next(pace.between(every, viewers), begun)
    return found


def at(clock=0.0, **fields):
    return Pace(clock=Clock(clock), **fields)


def test_up_to_fifty_viewers_see_five_frames_a_second_and_four_hundred_see_two_at_least():
    pace = Pace()
    assert {pace.tick_for(viewers) for viewers in (0, 1, 20, FEW)} == {0.2}
    assert {pace.tick_for(viewers) for viewers in (MANY, 400, 5000)} == {pace.crowded}
    assert pace.crowded < 0.5
    ticks = [pace.tick_for(viewers) for viewers in range(600)]
    assert ticks == sorted(ticks)
    assert len(set(ticks)) == 5  # viewers who come and go do not move the moments each time


def test_a_pace_that_is_slower_than_that_of_a_crowd_stays_as_it_is():
    assert Pace(tick=0.8).tick_for(400) == 0.8


@pytest.mark.parametrize("viewers", [1, 80, 400])
@pytest.mark.parametrize("takes", [0.001, 0.04, 0.1])
def test_whatever_a_look_takes_the_next_one_is_a_tick_later_and_not_a_tick_and_a_look(
    viewers, takes
):
    pace = at()
    found = moments(pace, 0.0, viewers, [takes])
    tick = pace.tick_for(viewers)
    gaps = [b - a for a, b in itertools.pairwise(found[1:])]
    assert gaps == pytest.approx([tick] * len(gaps))
    assert [now / tick for now in found[1:]] == pytest.approx([round(n / tick) for n in found[1:]])


@pytest.mark.parametrize("viewers", [1, 120, 400])
def test_subjects_of_any_cost_are_shown_at_moments_that_the_quickest_has_too(viewers):
    """So that a viewer of all of them gets one message."""
    pace = at()
    quickest = {round(now, 6) for now in moments(pace, 0.0, viewers, [0.01], 200)[1:]}
    for every in (0.3, 0.5, 1.0):
        found = moments(pace, every, viewers, [0.05, 0.01], 20)[1:]
        assert {round(now, 6) for now in found} <= quickest
        assert min(b - a for a, b in itertools.pairwise(found)) >= every - 1e-6


def test_there_is_at_most_one_frame_to_a_tick_also_of_what_comes_at_odd_times():
    pace = at()
    tick, found, now = pace.tick, [], 1000.0
    for wait in itertools.islice(itertools.cycle([0.0, 0.07, 0.13, 0.19]), 100):
        pace.clock.now = now + wait  # the file changed so much after it was looked at first
        found.append(pace.clock())
        pace.clock.now += 0.004
        now = pace.clock() + pace.until_next(tick, found[-1])
    assert len(found) <= (found[-1] - found[0]) / tick + 2
    assert len({int(now / tick + 1e-6) for now in found}) == len(found)


def test_a_look_that_takes_longer_than_a_tick_is_followed_by_a_rest_and_not_by_a_whole_tick():
    pace = at()
    found = moments(pace, 0.0, 1, [0.25])
    gaps = [b - a for a, b in itertools.pairwise(found)]
    assert max(gaps) < 0.25 + pace.tick
    assert min(gaps) >= 0.25 + SHORTEST * pace.tick - 1e-9
