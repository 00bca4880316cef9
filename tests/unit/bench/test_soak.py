"""What a soak calls wrong: what goes on growing, and no mere step."""

from bench.soak.limits import Figures, Sample


def samples(rss, *, files=20, tasks=10, receiving=lambda n: True, hours=0.5):
    return [Sample(n * hours * 3600 / 100, rss(n), files, tasks, receiving(n)) for n in range(100)]


def test_a_leak_of_memory_is_wrong_and_a_step_or_a_slow_slope_is_not():
    assert Figures.of(samples(lambda n: 120 + n * 0.3)).wrong(0.75) == ["memory"]
    assert Figures.of(samples(lambda n: 120 + (10 if n > 5 else 0))).wrong(0.75) == []
    assert Figures.of(samples(lambda n: 120 + n * 0.05)).wrong(0.75) == []


def test_growth_of_files_and_tasks_and_a_low_share_of_receiving_are_wrong():
    grown = [Sample(n, 120.0, 20 + n // 5, 10 + n, n % 2 == 0) for n in range(100)]
    assert Figures.of(grown, down=0.011).wrong(0.99) == ["open files", "tasks", "receiving"]
    assert Figures.of(grown, down=0.009).wrong(0.99) == ["open files", "tasks"]
