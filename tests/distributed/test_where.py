"""Where work is done, as it is said, and what of it can't be."""

import os
import socket
import sys

import pytest

from normwise.distributed.alike import THREADS, Alike, as_here, become
from normwise.distributed.ray_connection import _reason, installed, refuse_unreachable
from normwise.distributed.shared_files import Seen, as_before, refuse_unseen, refuse_unwritten, seen
from normwise.distributed.where import PROCESSES, RAY, Where, where_of
from normwise.errors import DistributionError

BOTH = (PROCESSES, RAY)


@pytest.mark.parametrize(
    ("on", "processes", "wanted", "words"),
    [
        (None, None, Where(), ""),
        (None, 3, Where(PROCESSES, at_once=3), "--processes 3"),
        ("processes", None, Where(PROCESSES, at_once=2), "--processes 2"),
        ("ray", None, Where(RAY), "--on ray"),
        ("ray=10.0.0.1:6379", 4, Where(RAY, "10.0.0.1:6379", 4),
         "--on ray=10.0.0.1:6379 --processes 4"),
    ],
)  # fmt: skip
def test_where_is_read_and_said(on, processes, wanted, words):
    assert where_of(on, processes, BOTH) == wanted
    assert " ".join(wanted.words) == words


@pytest.mark.parametrize("on", ["", "dask", "ray=", "processes=2", "here"])
def test_other_places_are_refused(on):
    with pytest.raises(DistributionError, match=r"received .*ray=HOST:PORT"):
        where_of(on, None, BOTH)


def test_places_and_numbers_that_do_not_fit_are_refused():
    with pytest.raises(DistributionError, match="received 'processes'; allowed: ray"):
        where_of("processes", None, (RAY,))
    with pytest.raises(DistributionError, match="belongs to --on ray"):
        where_of(None, 2, (RAY,))
    with pytest.raises(DistributionError, match="processes is 0"):
        where_of("ray", 0, BOTH)


def test_ray_is_asked_for_by_name(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(DistributionError, match=r"pip install 'normwise\[ray\]'"):
        installed()


def test_an_address_that_does_not_answer_is_said_in_time():
    for address in ("10.0.0.1", "ray://10.0.0.1:10001", "host:port"):
        with pytest.raises(DistributionError, match="expected HOST:PORT"):
            refuse_unreachable(address)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        with pytest.raises(DistributionError, match=rf"ray={address}: nothing answers there"):
            refuse_unreachable(address)
        listener.listen()
        with pytest.raises(DistributionError, match=r"answers within 0\.2 s|can't connect"):
            refuse_unreachable(address, 0.2)


def test_the_first_cause_of_a_failed_connection_is_told():
    said = (
        "[W] gcs_client.cc: Failed\nTraceback (most recent call last):\n"
        "RuntimeError: Failed. Last connection error: Traceback (most recent call last):\n"
        "ray.exceptions.AuthenticationError: the token is missing\n\nTraceback:\n"
        "ConnectionError: Failed to connect to Ray cluster at 10.0.0.1:6379\n"
    )
    assert _reason(said) == "ray.exceptions.AuthenticationError: the token is missing"
    assert _reason("killed\n") == "killed"


def test_files_that_a_machine_sees_otherwise_are_named(tmp_path):
    file = tmp_path / "a.npy"
    file.write_bytes(b"1234")
    refuse_unseen(seen([file, tmp_path]))
    file.write_bytes(b"12345")
    with pytest.raises(DistributionError, match=r"a\.npy: is another file on .*5 bytes and not 4"):
        refuse_unseen([Seen(str(file), 4)])
    with pytest.raises(DistributionError, match=r"b\.npy: can't be seen on .*share"):
        refuse_unseen([Seen(str(tmp_path / "b.npy"))], patience=0.0)
    with pytest.raises(DistributionError, match=r"b\.npy: a worker has written it"):
        refuse_unwritten(tmp_path / "b.npy", patience=0.0)
    asked = seen([file, tmp_path])
    assert as_before(asked) and not as_before([Seen(str(tmp_path / "b.npy"))])
    file.write_bytes(b"123456")
    assert not as_before(asked)


def test_a_worker_becomes_like_who_asks(monkeypatch):
    monkeypatch.setenv("TF_MADE_UP", "here")
    here = as_here()
    assert set(THREADS) <= set(here.environment)
    assert here.environment["TF_MADE_UP"] == "here"
    assert {"normwise", "keras", "numpy", "floatx"} < set(here.versions)
    monkeypatch.setattr(os, "environ", dict(os.environ, TF_ONLY_THERE="1", TF_MADE_UP="there"))
    become(Alike(here.threads, here.environment))
    assert os.environ["TF_MADE_UP"] == "here"
    assert "TF_ONLY_THERE" not in os.environ
    become(Alike(versions=here.versions))
    with pytest.raises(DistributionError, match=r"numpy .*, here 0\.1.*Install the same"):
        become(Alike(versions={**here.versions, "numpy": "0.1"}))
