# SPDX-License-Identifier: MIT
"""Programs are compiled once, in a process of its own, and what is kept of them is the same as what was compiled."""

import os
import platform
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from glb.datapath import compiler, identity
from glb.datapath.compiler import compiled
from glb.datapath.director import constants_for
from glb.datapath.kernel import btf_data, map_info
from glb.datapath.layout import LEAST_CAPACITY, capacity_for
from glb.datapath.program import create_maps
from glb.datapath.program_cache import ProgramCache
from glb.datapath.proxy import constants
from glb.errors import DatapathError
from glb.waiting import has_ended

from .conftest import load_files

_BOUND_S = 60.0


@pytest.fixture
def cache(tmp_path: Path) -> ProgramCache:
    return ProgramCache(tmp_path / "cache")


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> ProgramCache:
    """A cache that has the proxy's program."""
    cache = ProgramCache(tmp_path_factory.mktemp("filled"))
    compiled("proxy", constants(), cache)
    return cache


def entries(cache: ProgramCache) -> list[Path]:
    return sorted(cache.folder.iterdir())


def test_a_program_from_the_cache_is_the_one_that_was_compiled(
    filled: ProgramCache, cache: ProgramCache, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")

    kept = compiled("proxy", constants(), filled)
    assert "compiling" not in caplog.text
    fresh = compiled("proxy", constants(), cache)

    assert "compiling the program proxy" in caplog.text
    assert kept == fresh


@pytest.mark.parametrize("name", ["director", "proxy"])
def test_maps_are_created_as_the_compiler_created_them(name: str, tmp_path: Path) -> None:
    spec = compiled(name, _director_constants(tmp_path) if name == "director" else constants())
    with ExitStack() as opened:
        found = {map_name: map_info(fd) for map_name, fd in create_maps(opened, spec, spec.maps).items()}
        btf = {btf_data(info.btf) for info in found.values() if info.btf}

    assert btf == {spec.btf}
    assert {
        map_name: (i.kind, i.key_size, i.value_size, i.entries, i.flags, i.btf_key, i.btf_value)
        for map_name, i in found.items()
    } == {
        map_name: (m.kind, m.key_size, m.value_size, m.entries, m.flags, m.btf_key, m.btf_value)
        for map_name, m in spec.maps.items()
    }


def _director_constants(folder: Path) -> dict[str, int]:
    return dict(constants_for(capacity_for(load_files(folder).layout)))


def test_few_tables_use_the_program_that_a_package_brings(tmp_path: Path) -> None:
    assert _director_constants(tmp_path) == constants_for(LEAST_CAPACITY)


def test_more_rows_make_a_larger_map_of_the_same_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = _director_constants(tmp_path)
    large = {**small, "MAX_SLOTS": 2 * small["MAX_SLOTS"]}
    cut, whole = compiled("director", small), compiled("director", large)
    monkeypatch.setattr(compiler, "_SIZES", {})

    assert [cut, whole] == [compiled("director", small), compiled("director", large)]
    assert whole.maps["rows"].entries == 2 * cut.maps["rows"].entries
    assert whole.instructions == cut.instructions


def test_other_constants_make_another_entry(filled: ProgramCache) -> None:
    before = set(entries(filled))

    compiled("proxy", {**constants(), "UNUSED": 1}, filled)

    assert len(set(entries(filled)) - before) == 1


def test_another_compiler_makes_the_entry_anew(
    filled: ProgramCache, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level("INFO")
    state_of = compiler._state_of
    monkeypatch.setattr(compiler, "_state_of", lambda path: (1, 1) if "libbcc" in path else state_of(path))

    compiled("proxy", constants(), filled)

    assert "compiling" in caplog.text


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package's folder that has the proxy's program, made without any kernel's offsets."""
    folder = tmp_path_factory.mktemp("shipped")
    compiler.ship("proxy", dict.fromkeys(constants(), 0), folder)
    return folder


def test_a_packages_program_is_the_one_that_this_host_compiles(
    shipped: Path, filled: ProgramCache, cache: ProgramCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = compiled("proxy", constants(), filled)
    monkeypatch.setenv("GLB_PROGRAMS_DIR", str(shipped))
    monkeypatch.setattr(compiler, "compiler_version", lambda: "another one")
    monkeypatch.setattr(platform, "release", lambda: "7.0")

    assert compiled("proxy", constants(), cache) == kept
    assert not cache.folder.exists()


def test_a_damaged_program_of_a_package_is_compiled_anew(
    shipped: Path,
    cache: ProgramCache,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
) -> None:
    caplog.set_level("INFO")
    damaged = tmp_path / "damaged"
    shutil.copytree(shipped, damaged)
    (entry,) = damaged.iterdir()
    entry.write_bytes(entry.read_bytes()[:-1])
    monkeypatch.setenv("GLB_PROGRAMS_DIR", str(damaged))

    compiled("proxy", constants(), cache)

    assert f"{entry}: not used, compiling again: it is damaged" in caplog.text
    assert len(entries(cache)) == 1


def test_offsets_are_those_that_the_compiler_would_write(
    filled: ProgramCache, cache: ProgramCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = compiled("proxy", constants(), filled)
    monkeypatch.setattr(compiler, "_PLACEHOLDERS", {})

    assert compiled("proxy", constants(), cache) == written


def test_two_compile_at_the_same_time_and_get_the_same(cache: ProgramCache) -> None:
    made = []
    threads = [threading.Thread(target=lambda: made.append(compiled("proxy", constants(), cache))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(_BOUND_S)

    assert len(made) == 2
    assert made[0] == made[1]
    assert len(entries(cache)) == 1


def test_a_compile_error_has_the_compilers_message(cache: ProgramCache) -> None:
    without = {name: value for name, value in constants().items() if name != "TIME_WAIT_RCV_NXT"}

    with pytest.raises(DatapathError, match=r"compile of xdp_proxy\.c: (.|\n)*bpf/\w+\.h:\d+(.|\n)*TIME_WAIT_RCV_NXT"):
        compiled("proxy", without, cache)

    assert not cache.folder.exists()


def test_a_compile_that_does_not_end_is_refused(cache: ProgramCache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiler, "_CHILD_SECONDS", 0.05)

    with pytest.raises(DatapathError, match="not done after 0 s"):
        compiled("proxy", constants(), cache)


def test_who_may_not_use_bpf_learns_what_is_needed(cache: ProgramCache) -> None:
    os.seteuid(65534)
    try:
        with pytest.raises(DatapathError, match="needs CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON"):
            compiled("proxy", constants(), cache)
    finally:
        os.seteuid(0)


@contextmanager
def compiling(cache: ProgramCache) -> Iterator["subprocess.Popen[str]"]:
    """A process that loads the proxy's program, and then prints what it has of LLVM."""
    script = """
        import sys
        from pathlib import Path
        from glb.datapath.proxy import ProxyDatapath
        ProxyDatapath.load()
        mapped = Path("/proc/self/maps").read_text()
        print("LLVM" in mapped, flush=True)
    """
    argv = [sys.executable, "-c", textwrap.dedent(script)]
    env = {**os.environ, "GLB_CACHE_DIR": str(cache.folder)}
    with subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def test_the_compiler_is_never_mapped_into_who_needs_a_program(cache: ProgramCache) -> None:
    with compiling(cache) as process:
        said, _ = process.communicate(timeout=_BOUND_S)

    assert said == "False\n"
    assert len(entries(cache)) == 1


def test_a_killed_compile_leaves_no_file_and_no_process(cache: ProgramCache) -> None:
    with compiling(cache) as process:
        child = os.pidfd_open(_first_child(process.pid))
        try:
            process.send_signal(signal.SIGKILL)
            process.wait(_BOUND_S)
            assert has_ended(child, _BOUND_S)
        finally:
            os.close(child)

    assert not cache.folder.exists()


def _first_child(pid: int) -> int:
    children = Path(f"/proc/{pid}/task/{pid}/children")
    while not (found := children.read_text().split()):
        assert Path(f"/proc/{pid}").exists()
    return int(found[0])


@pytest.mark.parametrize("options", ["ro", "size=4k"])
def test_where_nothing_can_be_written_it_compiles_each_time(tmp_path: Path, options: str) -> None:
    folder = tmp_path / "mounted"
    folder.mkdir()
    command = (
        f"mount -t tmpfs -o {options},mode=700 none {folder} && "
        f"exec {sys.executable} -c 'from glb.datapath.proxy import ProxyDatapath; ProxyDatapath.load(); print(1)'"
    )
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", command],
        env={**os.environ, "GLB_CACHE_DIR": str(folder)},
        capture_output=True,
        text=True,
        timeout=_BOUND_S,
        check=False,
    )

    assert done.stdout == "1\n", done.stderr
    assert "the compiled program is not kept: " in done.stderr
    assert list(folder.iterdir()) == []


def test_missing_bcc_is_reported_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bcc", None)
    monkeypatch.setattr(identity, "version", _raise_not_found)

    with pytest.raises(DatapathError, match="install python3-bpfcc"):
        identity.compiler_version()


def _raise_not_found(name: str) -> str:
    raise PackageNotFoundError(name)
