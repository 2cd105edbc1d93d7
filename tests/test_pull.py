"""`imgq model pull` and `use`: with the hub's cache, with a hub that runs here, and with none."""

from __future__ import annotations

import http.server
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub
import pytest

from imgq.errors import Refused
from imgq.paths import places
from imgqd import parts
from imgqd.models import architecture, card, hub, pull, weights
from imgqd.models.presets import BUILTIN, WEIGHTS_FILE
from made_weights import FAST, SMALL, FakeHub, cache, run, shapes_of, write_zeros


@pytest.fixture(scope="module")
def fast(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    return write_zeros(folder / "fast.safetensors", shapes_of(FAST.architecture))


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return tmp_path / "models"


@pytest.fixture
def hub_here() -> Iterator[tuple[str, dict[str, Path]]]:
    """A hub's address, and the files it has."""
    files: dict[str, Path] = {}
    handler = type("Handler", (FakeHub,), {"files": files})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}", files
        server.shutdown()


class TestPull:
    def test_takes_weights_from_the_hubs_cache(self, models: Path, fast: Path) -> None:
        assert FAST.repository is not None
        cache(models.parent / "hf", FAST.repository, WEIGHTS_FILE, fast)
        ran = run(models, "pull", "fast", "--offline")
        assert ran.returncode == 0, ran.stderr
        ready = card.load(models, "fast")
        assert ready is not None
        assert ready.dim == 512
        # The same weights by another name are the same model.
        full = f"{FAST.architecture}/{FAST.tag}"
        assert run(models, "pull", full, "--offline").returncode == 0
        other = card.load(models, full)
        assert other is not None
        assert other.identity == ready.identity

    def test_of_builtin_needs_nothing(self, models: Path) -> None:
        assert run(models, "pull", BUILTIN).returncode == 0

    def test_says_what_to_do_where_the_hub_cannot_be_reached(self, models: Path) -> None:
        ran = run(models, "pull", "fast")
        assert ran.returncode == 4
        message, hint = ran.stderr.splitlines()
        assert message.startswith("imgq: the weights of fast ")
        assert hint.startswith("hint: ")
        for word in (
            "imgq model pull fast",
            "imgq model add fast --weights FILE",
            "--model builtin",
        ):
            assert word in hint
        assert list(models.glob("*.json")) == []

    def test_gives_up_on_a_hub_that_never_answers(self, models: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
            ran = run(models, "pull", "fast", "--hub-timeout", "0.5", HF_ENDPOINT=endpoint)
        assert ran.returncode == 4
        assert "no answer within 0.5 s" in ran.stderr

    def test_gives_up_on_a_name_server_that_never_answers(
        self, models: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        never = threading.Event()
        monkeypatch.setattr(huggingface_hub, "get_session", never.wait)
        with pytest.raises(hub.NoHub, match="no answer within"):
            hub.Knock(0.1).require()
        never.set()

    def test_of_a_preset_without_a_network_loads_no_torch(self, models: Path) -> None:
        code = (
            "import sys; from imgq.errors import ModelMissing; from imgqd.models import pull\n"
            f"try: pull.ensure({str(models)!r}, 'fast', offline=True)\n"
            "except ModelMissing: print('torch' in sys.modules)"
        )
        environment = os.environ | {"HF_HOME": str(models.parent / "hf")}
        ran = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, env=environment
        )
        assert ran.stdout == "False\n", ran.stderr

    def test_of_an_unknown_name_is_a_usage_error(self, models: Path) -> None:
        ran = run(models, "pull", "fats")
        assert ran.returncode == 2
        assert ran.stderr == "imgq: there is no model 'fats'\nhint: did you mean fast?\n"

    def test_of_multilingual_names_the_extra_it_needs(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(pull, "find_spec", lambda name: None)
        blank = architecture.blank_card("multilingual", "ViT-B-16-SigLIP2-256", "webli")
        with pytest.raises(Refused) as said:
            pull.require_transformers(blank)
        assert "imgq[multilingual]" in said.value.hint

    def test_is_not_waited_for_where_the_daemon_is_ending(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Else `imgq stop` would take as long as a download that settings began."""
        endless = tmp_path / "python"
        endless.write_text("#!/bin/sh\nexec sleep 1000\n")
        endless.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(endless))
        monkeypatch.setenv("IMGQ_HOME", str(tmp_path))
        ends = iter((False, False, True))
        with pytest.raises(Refused):
            parts.card_of(places(), "fast", lambda: next(ends))


class TestHub:
    def test_gives_weights_once(
        self, models: Path, fast: Path, hub_here: tuple[str, dict[str, Path]]
    ) -> None:
        endpoint, files = hub_here
        files[f"/{FAST.repository}/resolve/main/{WEIGHTS_FILE}"] = fast
        ran = run(models, "pull", "fast", HF_ENDPOINT=endpoint)
        assert ran.returncode == 0, ran.stderr
        ready = card.load(models, "fast")
        assert ready is not None
        assert Path(ready.weights).is_relative_to(models)
        assert weights.digest(ready.weights) == weights.digest(fast)
        files.clear()
        assert run(models, "pull", "fast").returncode == 0

    def test_that_is_cut_off_is_asked_for_the_rest(self, models: Path, fast: Path) -> None:
        asked: list[str | None] = []
        half = fast.stat().st_size // 2

        class Cutting(FakeHub):
            files = {f"/{FAST.repository}/resolve/main/{WEIGHTS_FILE}": fast}  # noqa: RUF012

            def do_GET(self) -> None:
                asked.append(self.headers.get("Range"))
                whole = fast.stat().st_size
                start = int((asked[-1] or "bytes=0-").removeprefix("bytes=").rstrip("-"))
                end = whole if start else half
                self.send_response(206 if start else 200)
                self.send_header("X-Repo-Commit", "b" * 40)
                self.send_header("ETag", f'"{weights.digest(fast)}"')
                self.send_header("Content-Length", str(whole - start))
                self.send_header("Content-Range", f"bytes {start}-{whole - 1}/{whole}")
                self.end_headers()
                with open(fast, "rb") as content:
                    content.seek(start)
                    for _ in range(start, end, 1 << 20):
                        self.wfile.write(content.read(min(1 << 20, end - content.tell())))
                self.close_connection = True

        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Cutting) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            endpoint = f"http://127.0.0.1:{server.server_address[1]}"
            ran = run(models, "pull", "fast", HF_ENDPOINT=endpoint)
            if ran.returncode:
                # Some versions of the hub's library go on by themselves, others when they are asked again.
                ran = run(models, "pull", "fast", HF_ENDPOINT=endpoint)
            server.shutdown()
        assert ran.returncode == 0, ran.stderr
        assert asked[0] is None
        assert 0 < int(str(asked[-1]).removeprefix("bytes=").rstrip("-")) <= half
        ready = card.load(models, "fast")
        assert ready is not None
        assert weights.digest(ready.weights) == weights.digest(fast)

    def test_that_gives_other_weights_than_at_first_is_not_believed(
        self, models: Path, fast: Path, hub_here: tuple[str, dict[str, Path]]
    ) -> None:
        endpoint, files = hub_here
        place = f"/{FAST.repository}/resolve/main/{WEIGHTS_FILE}"
        files[place] = models.parent / "theirs.safetensors"
        shutil.copyfile(fast, files[place])
        assert run(models, "pull", "fast", HF_ENDPOINT=endpoint).returncode == 0
        first = card.load(models, "fast")
        assert first is not None
        with open(files[place], "r+b") as file:
            file.seek(-1, os.SEEK_END)
            file.write(b"\x01")
        shutil.rmtree(models / "hub")
        ran = run(models, "pull", "fast", HF_ENDPOINT=endpoint)
        assert ran.returncode == 4
        message, hint = ran.stderr.splitlines()[-2:]
        assert "SHA-256" in message
        assert str(models / "fast.json") in hint
        assert card.recorded(models, "fast") == first
        (models / "fast.json").unlink()
        assert run(models, "pull", "fast", HF_ENDPOINT=endpoint).returncode == 0

    def test_weights_that_were_changed_since_are_noticed(
        self, models: Path, fast: Path, hub_here: tuple[str, dict[str, Path]]
    ) -> None:
        endpoint, files = hub_here
        files[f"/{FAST.repository}/resolve/main/{WEIGHTS_FILE}"] = fast
        assert run(models, "pull", "fast", HF_ENDPOINT=endpoint).returncode == 0
        ready = card.load(models, "fast")
        assert ready is not None
        place = os.path.realpath(ready.weights)
        with open(place, "r+b") as file:
            file.seek(-1, os.SEEK_END)
            file.write(b"\x01")
        ran = run(models, "pull", "fast", HF_ENDPOINT=endpoint)
        assert ran.returncode == 4
        message, hint = ran.stderr.splitlines()[-2:]
        assert "the SHA-256 of" in message
        # And the remedy is one.
        assert f"remove {place}, " in hint
        os.unlink(place)
        ran = run(models, "pull", "fast", HF_ENDPOINT=endpoint)
        assert ran.returncode == 0, ran.stderr

    def test_without_safetensors_is_told_from_no_hub(
        self, models: Path, hub_here: tuple[str, dict[str, Path]]
    ) -> None:
        ran = run(models, "pull", "fast", HF_ENDPOINT=hub_here[0])
        assert ran.returncode == 4
        assert f"has no {WEIGHTS_FILE}" in ran.stderr

    def test_that_gives_weights_of_another_model_is_refused(
        self, models: Path, tmp_path: Path, hub_here: tuple[str, dict[str, Path]]
    ) -> None:
        endpoint, files = hub_here
        small = write_zeros(tmp_path / "small.safetensors", shapes_of(SMALL))
        files[f"/{FAST.repository}/resolve/main/{WEIGHTS_FILE}"] = small
        ran = run(models, "pull", "fast", HF_ENDPOINT=endpoint)
        assert ran.returncode == 4
        assert "does not fit ViT-B-32-256" in ran.stderr
        assert card.load(models, "fast") is None


class TestUse:
    def test_remembers_a_model_that_is_there(self, models: Path) -> None:
        ran = run(models, "use", BUILTIN)
        assert ran.returncode == 0, ran.stderr
        settings = models.parent / "home" / "settings.toml"
        assert settings.read_text() == 'model = "builtin"\n'
        # Without a name it is the one in use that is looked at.
        assert run(models, "use").returncode == 0

    def test_forgets_one_that_is_not(self, models: Path) -> None:
        assert run(models, "use", "fast").returncode == 4
        assert not (models.parent / "home" / "settings.toml").exists()


def test_what_a_library_adds_to_a_failure_is_left_out() -> None:
    said = hub._said(
        OSError("404 for that address\nFor more information read this"), "some/one", "x"
    )
    assert str(said).endswith(" did not deliver x: 404 for that address")
