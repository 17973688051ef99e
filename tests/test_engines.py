"""Jobs are done by whoever is asked, all of them, and whoever is lost costs a second try at most."""

from __future__ import annotations

import contextlib
import functools
import inspect
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from pixelrl.engines import Fault, Shard, cluster, dask, processes, serial, through
from pixelrl.errors import InputError, UsageError

LONG = 300.0
"""Seconds: what takes as many has not ended by itself."""


def work(job: object, folder: Path | None = None) -> tuple[object, int]:
    """Do a job as its name says: gone workers are killed as the system kills them."""
    if job == "deadly" or (job == "deadly once" and folder is not None and _first(folder / "once")):
        time.sleep(1)  # dask does not start a worker again that is gone before it was seen to have started
        os.kill(os.getpid(), signal.SIGKILL)
    if job == "bad":
        raise InputError("bad: no picture")
    if job == "odd":
        raise OddError(1, 2)
    if job == "long":
        time.sleep(LONG)
    return job, os.getpid()


def _first(path: Path) -> bool:
    try:
        path.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


class OddError(Exception):
    """One that can be pickled, but not unpickled."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} and {two}")


class Broken:
    """What cannot be unpickled by whoever shall work."""

    def __call__(self, job: object) -> object:
        return job

    def __reduce__(self) -> tuple[object, ...]:
        return _refuse, ()


def _refuse() -> None:
    raise UsageError("no such module")


def no_start() -> None:
    os._exit(1)


class Stillborn(Broken):
    def __reduce__(self) -> tuple[object, ...]:
        return no_start, ()


JOBS = ["a", "deadly", "b", "deadly once", "bad", "odd", *map(str, range(12))]


def check(outcomes: list[tuple[object, object]], mine: int) -> set[int]:
    """Every job of `JOBS` has become what it should; the ids of the processes that did them."""
    results = dict(outcomes)
    assert len(outcomes) == len(JOBS)
    assert set(results) == set(JOBS)
    faults = {job: result for job, result in outcomes if isinstance(result, Fault)}
    assert set(faults) == {"deadly", "bad", "odd"}
    assert faults["deadly"].lost
    assert isinstance(faults["bad"].error, InputError)
    assert str(faults["bad"].error) == "bad: no picture"
    assert str(faults["odd"].error) == "OddError: 1 and 2"
    done = {result for job, result in outcomes if job not in faults}
    assert {job for job, _ in done} == set(JOBS) - set(faults)
    ids = {number for _, number in done}
    assert mine not in ids
    return ids


def test_one_after_the_other_in_this_process() -> None:
    outcomes = list(serial(work, ["b", "bad", "a"]))
    assert outcomes[0] == ("b", ("b", os.getpid()))
    assert isinstance(outcomes[1][1], Fault)
    assert outcomes[2] == ("a", ("a", os.getpid()))
    assert list(through(work, ["b"])) == outcomes[:1]


def test_processes_that_are_killed_cost_a_second_try(tmp_path: Path) -> None:
    outcomes = list(processes(functools.partial(work, folder=tmp_path), iter(JOBS), 2))
    ids = check(outcomes, os.getpid())
    assert len(ids) >= 2
    assert not any(psutil.pid_exists(number) for number in ids)


def test_no_more_jobs_are_taken_than_there_is_somebody_for() -> None:
    taken = []

    def jobs() -> Iterator[str]:
        for number in range(20):
            taken.append(number)
            yield str(number)

    with contextlib.closing(through(work, jobs(), workers=1)) as outcomes:
        next(outcomes)
        assert len(taken) <= 2
    assert len(taken) <= 2


def test_those_who_work_stop_when_nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pixelrl.engines.pool.PATIENCE", 1000.0)  # nobody is killed
    with contextlib.closing(processes(work, ["a", "long", "long"], 2)) as outcomes:
        next(outcomes)
        team = multiprocessing.active_children()
        assert len(team) == 2
        began = time.monotonic()
    assert time.monotonic() - began < LONG / 2
    assert not multiprocessing.active_children()


def test_who_is_gone_before_a_job_comes_has_not_tried_it() -> None:
    """As where the system kills a process that rests. A second such loss is not the job's fault, either."""
    outcomes, done = processes(work, ["a", "b", "c"], 1), []
    for job, result in outcomes:
        done.append(job)
        assert not isinstance(result, Fault), job
        process, until = psutil.Process(result[1]), time.monotonic() + 120
        process.kill()
        while process.status() != psutil.STATUS_ZOMBIE:  # it is waited for where it was started
            assert time.monotonic() < until
            time.sleep(0.01)
    assert sorted(done) == ["a", "b", "c"]


def test_what_cannot_begin_is_said_once() -> None:
    with pytest.raises(UsageError, match="no such module"):
        list(processes(Broken(), JOBS, 2))
    with pytest.raises(RuntimeError, match="end before they can work"):
        list(processes(Stillborn(), JOBS, 1))


def test_no_process_outlives_the_one_that_started_it(tmp_path: Path) -> None:
    program = (
        "from test_engines import *\n"
        "if __name__ == '__main__':\n"
        "    for _, (_, number) in processes(work, map(str, range(10**6)), 2): print(number, flush=True)\n"
    )
    (tmp_path / "main.py").write_text(program)
    path = os.pathsep.join(filter(None, (str(Path(__file__).parent), os.environ.get("PYTHONPATH"))))
    parent = subprocess.Popen(
        [sys.executable, tmp_path / "main.py"], env={**os.environ, "PYTHONPATH": path}, stdout=subprocess.PIPE
    )
    assert parent.stdout is not None
    children = [psutil.Process(int(parent.stdout.readline()))]
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert not psutil.wait_procs(children, timeout=120)[1]


@pytest.fixture(scope="module")
def scheduler() -> Iterator[str]:
    distributed, dask_itself = pytest.importorskip("distributed"), pytest.importorskip("dask")
    settings = {
        "distributed.scheduler.allowed-failures": 1,  # three, else: as good, and takes longer
        # A local cluster puts away for good whoever is gone for fifteen seconds, which is soon on a busy machine.
        "distributed.deploy.lost-worker-timeout": "1h",
    }
    with (
        dask_itself.config.set(settings),
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0", silence_logs=60) as cluster,
    ):
        yield cluster.scheduler_address


def test_a_cluster_whose_workers_are_killed(scheduler: str, tmp_path: Path) -> None:
    check(list(dask(functools.partial(work, folder=tmp_path), JOBS, scheduler)), os.getpid())
    with pytest.raises(UsageError, match="no such module"):
        list(through(Broken(), JOBS, address=scheduler))


def test_results_that_are_here_outlive_the_workers_they_came_from(scheduler: str) -> None:
    """Dask calls them lost as soon as their workers are: for a moment in most runs, here for as long as it takes."""
    from distributed import Client

    jobs = ["a", "b", "c", "d", "e"]
    with Client(scheduler, set_as_default=False) as client, contextlib.closing(dask(work, jobs, scheduler)) as outcomes:
        done = [next(outcomes)]
        until = time.monotonic() + 120
        while inspect.getgeneratorlocals(outcomes)["landed"].qsize() < len(jobs) - 1:
            assert time.monotonic() < until, "the others have not come"
            time.sleep(0.05)
        team = client.run(os.getpid)
        for number in team.values():
            os.kill(number, signal.SIGKILL)
        while set(team) & set(client.ncores()):
            assert time.monotonic() < until, "the scheduler has not noticed"
            time.sleep(0.05)
        done += outcomes
    assert sorted(job for job, _ in done) == jobs
    assert {result[1] for _, result in done if isinstance(result, tuple)} <= set(team.values())


def test_a_cluster_without_workers_is_waited_for_and_named_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    distributed = pytest.importorskip("distributed")
    monkeypatch.setattr("pixelrl.engines.cluster.QUIET", 0.1)
    with distributed.LocalCluster(n_workers=0, threads_per_worker=1, dashboard_address=":0") as cluster:
        address = cluster.scheduler_address
        later = threading.Timer(1, cluster.scale, [1])
        later.start()
        assert dict(dask(work, ["a", "b"], address)).keys() == {"a", "b"}
        later.join()
    said = [record.getMessage() for record in caplog.records if record.name.startswith("pixelrl")]
    assert said == [f"--dask {address}: the cluster has no workers; waiting until it has"]


def test_a_scheduler_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("distributed")
    monkeypatch.setattr("pixelrl.engines.cluster.PATIENCE", 0.5)
    with pytest.raises(UsageError, match=r"--dask tcp://127.0.0.1:1: no scheduler answers there"):
        list(dask(work, JOBS, "tcp://127.0.0.1:1"))


@pytest.mark.parametrize("address", ["foo", "", "tcp://x:y", "foo://10.0.0.1:8786", "10.0.0.1:99999", "[::1"])
def test_what_is_no_address_is_refused_before_anything_is_tried(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("distributed")
    monkeypatch.setattr("distributed.Client.__init__", lambda *_, **__: pytest.fail("it was tried"))
    with pytest.raises(UsageError, match="is no address of a dask scheduler; give its address with the port"):
        list(dask(work, JOBS, address))


def test_a_server_that_is_no_scheduler_is_given_up_quietly() -> None:
    """One that takes connections and says nothing, such as a page of the web; nothing is left for the end of Python."""
    pytest.importorskip("distributed")
    program = (
        "import socket\n"
        "from pixelrl.engines import cluster, dask\n"
        "cluster.PATIENCE = 0.5\n"
        "with socket.create_server(('127.0.0.1', 0)) as server:\n"
        "    try:\n"
        "        list(dask(str, [1], f'127.0.0.1:{server.getsockname()[1]}'))\n"
        "    except cluster.UsageError as error:\n"
        "        print(error)\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=600, check=True)
    assert "no scheduler answers there" in ended.stdout
    assert ended.stderr == ""


@pytest.mark.parametrize("late", [False, True])
def test_a_scheduler_that_goes_ends_the_run_at_once(late: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether whoever takes the results comes back while the connection is tried again, or when that was given up."""
    pytest.importorskip("distributed")
    clients, connect = [], cluster._connect
    monkeypatch.setattr(cluster, "PATIENCE", LONG)
    monkeypatch.setattr(cluster, "_connect", lambda address: clients.append(connect(address)) or clients[-1])
    program = (
        "from distributed import LocalCluster\n"
        "import time\n"
        "if __name__ == '__main__':\n"
        "    cluster = LocalCluster(n_workers=1, processes=False, protocol='tcp', dashboard_address=':0')\n"
        "    print(cluster.scheduler_address, flush=True)\n"
        "    time.sleep(1000)\n"
    )
    scheduler = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert scheduler.stdout is not None
    address = scheduler.stdout.readline().strip()
    try:
        done = dask(str, map(str, range(10**6)), address)
        next(done)
        if late:
            clients[0]._timeout = 0.5
        scheduler.kill()
        began = time.monotonic()
        while late and clients[0].status != "closed":
            assert time.monotonic() - began < 120, "it is tried again and again"
            time.sleep(0.05)
        with pytest.raises(UsageError, match=f"{address}: the scheduler was lost; .* --skip-existing does the rest"):
            list(done)
        assert time.monotonic() - began < LONG / 2
    finally:
        scheduler.kill()
        scheduler.wait()
        scheduler.stdout.close()


def test_shares_hold_every_job_once() -> None:
    names = [f"scan {number}.png" for number in range(1000)]
    for share in (lambda shard: shard.of(names), lambda shard: [name for name in names if shard.has(name)]):
        shares = [share(Shard(number, 7)) for number in range(1, 8)]
        assert sorted(name for part in shares for name in part) == sorted(names)
        assert min(map(len, shares)) > 100
    assert Shard.parse("3/8") == Shard(3, 8)
    assert str(Shard(3, 8)) == "3/8"
    for wrong in ("0/8", "9/8", "3", "3/", "/8", "a/8", "-1/8", "1.0/8"):
        with pytest.raises(UsageError, match="is no share"):
            Shard.parse(wrong)
