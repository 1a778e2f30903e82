"""The container file: what it copies is the dashboard, and who runs it is nobody special."""

import json
import re
import shutil
import subprocess
import sys

import pytest
from conftest import REPOSITORY


@pytest.fixture(scope="module")
def orders():
    """(instruction, what it says) of the container file, in order."""
    text = (REPOSITORY / "Dockerfile").read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [tuple(line.split(maxsplit=1)) for line in lines]


def told(orders, instruction):
    return [words for name, words in orders if name == instruction]


def allowed():
    """What .dockerignore lets through, as paths of the repository."""
    lines = (REPOSITORY / ".dockerignore").read_text().splitlines()
    first = next(line for line in lines if line[:1] not in ("#", ""))
    assert first == "*", "all is left out but what is named"
    return [line[1:] for line in lines if line.startswith("!")]


def test_it_runs_as_a_normal_user_who_owns_the_library_alone(orders):
    (user,) = told(orders, "USER")
    assert user not in ("root", "0")
    assert f"useradd --create-home --uid 1000 {user}" in told(orders, "RUN")[0]
    names = [name for name, _ in orders]
    assert names.index("USER") > max(place for place, name in enumerate(names) if name == "COPY")
    assert names.index("USER") < names.index("CMD")
    (volume,) = told(orders, "VOLUME")
    assert f"install --directory --owner {user} {volume}" in told(orders, "RUN")[0]
    assert f"VGLAB_HOME={volume}" in told(orders, "ENV")[0]


def test_it_starts_the_dashboard_for_a_hall_on_the_port_it_names_and_watches(orders):
    command = json.loads(told(orders, "CMD")[0])
    assert command[:3] == ["streamlit", "run", "app.py"]
    options = dict(zip(command[3::2], command[4::2], strict=True))
    (port,) = told(orders, "EXPOSE")
    assert options == {
        "--server.address": "0.0.0.0",
        "--server.port": port,
        "--server.headless": "true",
    }
    assert f"http://127.0.0.1:{port}/live/health" in told(orders, "HEALTHCHECK")[0]


def test_no_secret_and_no_host_but_itself_is_in_it(orders):
    for name in ("Dockerfile", ".dockerignore"):
        text = (REPOSITORY / name).read_text()
        assert set(re.findall(r"https?://([\w.]+)", text)) <= {"127.0.0.1"}
        assert "VGLAB_PRESENTER_KEY=" not in text
    assert not [words for words in told(orders, "ENV") + told(orders, "ARG") if "KEY" in words]
    assert not {".streamlit", ".streamlit/secrets.toml", ".git", "tests"} & set(allowed())


def test_what_it_copies_is_enough_to_start_from(orders, tmp_path):
    assert told(orders, "COPY") == ["requirements.txt ./", ". ./"]
    for name in allowed():
        source, place = REPOSITORY / name, tmp_path / name
        place.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(
                source, place, ignore=shutil.ignore_patterns("__pycache__", "*.sqlite*")
            )
        else:
            shutil.copyfile(source, place)
    code = (
        "import app; from pathlib import Path; from ui import lessons; "
        "assert Path('pages/main.py').exists() and Path('assets/live.js').exists(); "
        "print(len(lessons.read_all()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.stdout.strip().isdecimal(), done.stderr
