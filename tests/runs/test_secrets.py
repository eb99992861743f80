"""Twelve kinds of secrets are known to a run that tells everybody; none of them is anywhere but where it belongs."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.observe.publish.hub_server import TOKEN, Hub, running_hub
from tests.runs.conftest import Train

MARK = "canary7d6e5f"
VARIABLES = {
    name: f"{MARK}-{name.lower()}"
    for name in (
        "HUGGING_FACE_HUB_TOKEN",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "WANDB_API_KEY",
        "COMET_API_KEY",
        "SWANLAB_API_KEY",
        "GITHUB_TOKEN",
        "DB_PASSWORD",
    )
}
# The hub's own token, the webhook's address and its token.
KINDS = len(VARIABLES) + 3


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with running_hub() as running:
        for name, value in running.environ().items():
            monkeypatch.setenv(name, value)
        yield running


class Receiver:
    """Keeps the bodies it gets, and at each one looks how every process of this machine was called."""

    def __init__(self) -> None:
        self.told: list[bytes] = []
        self.called: set[bytes] = set()
        there = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                there.told.append(self.rfile.read(int(self.headers["Content-Length"])))
                there.look()
                self.send_response(204)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                """Keep quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def look(self) -> None:
        for line in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                self.called.add(line.read_bytes())
            except OSError:
                continue


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.server.shutdown()
    made.server.server_close()


def test_no_secret_is_in_files_logs_messages_uploads_or_the_list_of_processes(
    train: Train,
    hub: Hub,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert KINDS == 12
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)
    url = f"http://127.0.0.1:{receiver.server.server_address[1]}/{MARK}-address"
    hook = {"webhook_type": "raw", "webhook_url": url, "auth_token": f"{MARK}-auth", "log_level": "debug"}
    Path("config/hooks.json").write_text(json.dumps([hook]))
    # A person's slip: secrets in texts that are meant to be read.
    slip = " ".join([*VARIABLES.values(), f"{MARK}-auth", url])
    with caplog.at_level(logging.DEBUG):
        code = train(
            output_dir="told",
            webhook_config="hooks.json",
            report_to="tensorboard,simpletuner",
            push_to_hub="true",
            hub_model_id="my-frog",
            max_train_steps=1,
            model_card_note=slip,
            modelspec_comment="made with {env:GITHUB_TOKEN}",
            tracker_run_name=f"run {VARIABLES['DB_PASSWORD']}",
        )
    assert code == 0
    said = capfd.readouterr()
    uploaded = hub.repositories["fox/my-frog"].files
    assert receiver.told
    assert any(b"pytest" in line for line in receiver.called)
    assert b"***" in uploaded["README.md"]
    places = {
        "a message": receiver.told,
        "an upload": list(uploaded.values()),
        "the list of processes": sorted(receiver.called),
        "the screen": [said.out.encode(), said.err.encode()],
        "the log": [caplog.text.encode()],
        **{str(path): [path.read_bytes()] for path in Path("told").rglob("*") if path.is_file()},
    }
    found = [place for place, texts in places.items() for secret in (MARK, TOKEN) if secret.encode() in b"".join(texts)]
    assert not found, found
