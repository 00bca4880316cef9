"""Promises that several implementations keep; unit and integration tests run the same functions."""

import pytest

pytest.register_assert_rewrite("tests.contracts.store")
