"""Alone on a machine, a bot's folder and its credential are used once."""

import tempfile

import pytest

from botrunner.ownership.flock import HeldElsewhereError, credential_lock, folder_lock


def test_a_data_folder_is_used_once(tmp_path):
    with folder_lock(tmp_path), pytest.raises(HeldElsewhereError, match="another botrunner uses the data folder"):
        folder_lock(tmp_path).acquire()
    with folder_lock(tmp_path):
        pass


def test_a_credential_is_used_once_on_a_machine_whatever_the_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with credential_lock("a" * 64), pytest.raises(HeldElsewhereError, match="One account is one bot"):
        credential_lock("a" * 64).acquire()
    with credential_lock("a" * 64), credential_lock("b" * 64):
        pass


def test_a_link_in_the_way_is_not_followed(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    target = tmp_path / "target"
    (tmp_path / f"botfleet-account-{'a' * 32}.lock").symlink_to(target)
    with pytest.raises(OSError, match="symbolic links"):
        credential_lock("a" * 64).acquire()
    assert not target.exists()


def test_releasing_twice_is_once(tmp_path):
    lock = folder_lock(tmp_path)
    lock.acquire()
    lock.release()
    lock.release()
    folder_lock(tmp_path).acquire()
