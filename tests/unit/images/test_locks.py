"""Which wheels go into an image, and for which platform they are chosen."""

import pytest

from botfleet_tools.images.locks import WheelNameError, lock, parse_wheel
from botfleet_tools.images.target import Target


def test_a_wheels_name_is_taken_apart() -> None:
    wheel = parse_wheel("SQLAlchemy.Ext_x-2.1.9-1-cp311-cp311-manylinux_2_17_x86_64.whl", "ab")
    assert (wheel.name, wheel.version, wheel.is_pure) == ("sqlalchemy-ext-x", "2.1.9", False)
    assert parse_wheel("pyaes-1.6.1-py3-none-any.whl", "ab").is_pure


@pytest.mark.parametrize("filename", ["pyaes-1.6.1.tar.gz", "pyaes-1.6.1.whl", "a-b-c-d-e-f-g.whl"])
def test_what_is_no_wheel_is_refused(filename: str) -> None:
    with pytest.raises(WheelNameError):
        parse_wheel(filename, "ab")


def test_a_lock_names_every_wheel_with_its_hash_in_order() -> None:
    wheels = [parse_wheel(f"{name}-1.0-py3-none-any.whl", sha256) for name, sha256 in (("b_x", "22"), ("a", "11"))]
    assert lock(wheels) == "a==1.0 --hash=sha256:11\nb-x==1.0 --hash=sha256:22\n"


def test_two_wheels_of_one_distribution_are_refused() -> None:
    wheels = [parse_wheel(f"a-{version}-py3-none-any.whl", "11") for version in ("1.0", "1.1")]
    with pytest.raises(WheelNameError, match="more than one wheel of a"):
        lock(wheels)


def test_wheels_are_chosen_for_the_base_image_and_not_for_this_machine() -> None:
    target = Target("aarch64")
    assert target.platforms[0] == "manylinux_2_36_aarch64"
    assert "manylinux_2_37_aarch64" not in target.platforms
    assert {"manylinux_2_17_aarch64", "manylinux2014_aarch64", "linux_aarch64"} <= set(target.platforms)
    assert (target.python_version, target.abi, str(target)) == ("3.11", "cp311", "cp311-linux-aarch64")
