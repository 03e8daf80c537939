"""What a container becomes when its daemon goes: on a daemon of the test's own, in a network of its own."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from bench_deploy.engine import ContainerState, DockerEngine
from bench_deploy.errors import EngineAwayError
from engine_rigs import IMAGE, LABEL, DockerRig
from own_dockerd import Daemon, own_dockerd

pytestmark = pytest.mark.needs("dockerd", "root")


@pytest.fixture(scope="module")
def own(dockerd: None) -> Iterator[Daemon]:
    with own_dockerd(IMAGE) as daemon:
        yield daemon


@pytest.mark.parametrize("options", [(), ("--live-restore",)], ids=["stops", "live-restore"])
def test_a_daemon_that_restarts(own: Daemon, options: tuple[str, ...], tmp_path: Path) -> None:
    own.start(*options)
    rig = DockerRig(tmp_path, own.url)
    spec = rig.spec()
    rig.engine.submit(spec)
    rig.started(spec.name)
    waited: list[object] = []

    def wait() -> None:
        try:
            waited.append(rig.engine.wait(spec.name, 600))
        except EngineAwayError as error:
            waited.append(error)

    waiting = threading.Thread(target=wait)
    waiting.start()
    own.end()
    waiting.join()
    for call in (rig.engine.inspect, rig.engine.remove):
        with pytest.raises(EngineAwayError):
            call(spec.name)
    with pytest.raises(EngineAwayError):
        rig.engine.list(LABEL, rig.session)
    with pytest.raises(EngineAwayError):
        rig.engine.submit(spec)

    own.start(*options)
    [found] = rig.engine.list(LABEL, rig.session)
    assert found.name == spec.name
    if options:
        assert isinstance(waited[0], EngineAwayError)
        assert found.state is ContainerState.RUNNING
        rig.engine.submit(spec)
        rig.finish(spec.name, 5)
        assert rig.ended(spec.name).exit_code == 5
    else:
        assert found.state is ContainerState.EXITED
        rig.engine.submit(spec)
        assert rig.ended(spec.name) == found
    rig.clean()
    assert DockerEngine(own.url).list(LABEL, rig.session) == []
    own.end()
