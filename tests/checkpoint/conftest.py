"""Checkpoints that are written as often as can be, and a place for them."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from haydi.checkpoint import keeper, writer
from haydi.contexts import serial


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "run.haydi"


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every stride is short, and each is written before the next one."""
    put = writer.Writer.put

    def put_and_wait(self: writer.Writer, batch: writer.Batch) -> None:
        put(self, batch)
        while not self.idle and self.error is None:
            time.sleep(0.0001)

    monkeypatch.setattr(writer.Writer, "put", put_and_wait)
    monkeypatch.setattr(keeper, "INTERVAL_SECONDS", 0.0)
    monkeypatch.setattr(keeper, "INTERVAL_SECONDS_MOST", 0.0)
    monkeypatch.setattr(serial, "STRIDE_SECONDS", 1e-5)
