"""Who listens changes nothing: the same weights, and no secret in anything that a run leaves or sends."""

from __future__ import annotations

import base64
import io
import json
import logging
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.runs.conftest import Train, metrics

ADAPTER = Path("pytorch_lora_weights.safetensors")
SECRET = "canary-5b4a3c2d1e0f"


@pytest.fixture
def serve() -> Iterator[Callable[[Callable[[BaseHTTPRequestHandler], None]], int]]:
    """Starts a server that answers each POST as told; its port."""
    servers: list[ThreadingHTTPServer] = []

    def start(answer: Callable[[BaseHTTPRequestHandler], None]) -> int:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                answer(self)

            def log_message(self, format: str, *args: Any) -> None:
                """Keep quiet."""

        servers.append(ThreadingHTTPServer(("127.0.0.1", 0), Handler))
        servers[-1].daemon_threads = True
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return int(servers[-1].server_address[1])

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def replying(status: int, kept: list[bytes]) -> Callable[[BaseHTTPRequestHandler], None]:
    def reply(handler: BaseHTTPRequestHandler) -> None:
        kept.append(handler.rfile.read(int(handler.headers["Content-Length"])))
        handler.send_response(status)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return reply


def messages_of(told: list[bytes]) -> list[dict[str, Any]]:
    return [json.loads(body) for body in told]


def stages_of(messages: list[dict[str, Any]]) -> list[str]:
    """Every stage and status, each change once."""
    told = [message["stage"] for message in messages if message["type"] == "lifecycle.stage"]
    return [name for name, _ in groupby(f"{stage['key']} {stage['status']}" for stage in told)]


def told_to(port: int) -> str:
    """`webhook_config` of a receiver."""
    return json.dumps({"webhook_type": "raw", "webhook_url": f"http://127.0.0.1:{port}/{SECRET}", "log_level": "info"})


DRAWN = {
    "validation_disable": "false",
    "validation_disable_unconditional": "true",
    "validation_prompt": "a red apple",
    "validation_resolution": "64x64",
    "validation_num_inference_steps": 20,
    "validation_step_interval": 2,
    "max_train_steps": 3,
}
PREPARED = [
    *("init_data_backend running", "init_vae_cache completed", "init_text_embed_cache completed"),
    *("init_data_backend completed", "init_load_base_model running", "init_load_base_model completed"),
    *("init_prepare_models running", "init_prepare_models completed"),
]
SAVED = ["checkpoint_save running", "checkpoint_save completed"]
ENDED = [
    *(*SAVED, "model_save running", "model_save completed"),
    *("final_validation running", "final_validation completed", "training_complete completed"),
]


def test_stages_and_previews_arrive_in_order_and_change_nothing(train: Train, serve: Any) -> None:
    assert train(**DRAWN, output_dir="alone") == 0
    told: list[bytes] = []
    hook, shown = told_to(serve(replying(204, told))), {"validation_preview": "true", "validation_preview_steps": 5}
    assert train(**DRAWN, **shown, output_dir="told", webhook_config=hook) == 0
    messages = messages_of(told)
    drawn = ["validation running", "validation completed"]
    benchmark = ["benchmark_base_model running", "benchmark_base_model completed"]
    assert stages_of(messages) == [*PREPARED, *benchmark, *SAVED, *drawn, *ENDED]
    previews = [message for message in messages if message["type"] == "validation.image"]
    seen = [(one["data"]["global_step"], one["data"]["step_label"], one["data"]["validation_type"]) for one in previews]
    kinds = ["intermediary"] * 3 + ["final"]
    assert seen == [
        *((0, f"{step}/20", "base_model") for step in (5, 10, 15, 20)),
        *((2, f"{step}/20", kind) for step, kind in zip((5, 10, 15, 20), kinds, strict=True)),
        *((3, f"{step}/20", kind) for step, kind in zip((5, 10, 15, 20), kinds, strict=True)),
    ]
    for preview in previews:
        (picture,) = preview["images"]
        with Image.open(io.BytesIO(base64.b64decode(picture))) as image:
            assert (image.size, image.format) == ((64, 64), "PNG")
    for path in (ADAPTER, *(picture.relative_to("alone") for picture in Path("alone").glob("validation_images/*"))):
        assert ("told" / path).read_bytes() == ("alone" / path).read_bytes(), path
    told.clear()
    more = {"max_train_steps": 4, "resume_from_checkpoint": "latest", "output_dir": "told", "webhook_config": hook}
    assert train(**DRAWN | more) == 0
    resumed = ["init_resume_checkpoint running", "init_resume_checkpoint completed"]
    assert stages_of(messages_of(told)) == [*PREPARED, *resumed, *SAVED, *drawn, *ENDED[2:]]


def test_a_bug_is_told_with_its_traceback_and_without_secrets(
    train: Train, serve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError(f"while asking with {SECRET}")

    monkeypatch.setattr("simpletuner.training.loop.apply_update", broken)
    told: list[bytes] = []
    with pytest.raises(ZeroDivisionError):
        train(webhook_config=told_to(serve(replying(204, told))))
    messages = messages_of(told)
    assert SECRET not in str(messages)
    (status,) = [one for one in messages if one["type"] == "training.status" and one["data"]["status"] == "failed"]
    assert status["message"] == "ZeroDivisionError: while asking with ***"
    (error,) = [one for one in messages if one["type"] == "error"]
    assert error["data"]["traceback"].startswith("Traceback")
    assert "in broken" in error["data"]["traceback"]
    assert stages_of(messages)[-1] == "training_abort completed"


def test_data_that_cannot_be_used_is_a_failed_stage(train: Train, serve: Any) -> None:
    for picture in Path("pictures").iterdir():
        picture.write_bytes(b"no picture")
    told: list[bytes] = []
    assert train(webhook_config=told_to(serve(replying(204, told)))) == 3
    messages = messages_of(told)
    ended = ["init_data_backend running", "init_data_backend failed", "training_abort completed"]
    assert stages_of(messages) == ended
    (error,) = [one for one in messages if one["type"] == "error"]
    assert "no images detected" in error["data"]["traceback"]


def test_a_run_that_tells_everybody_makes_the_same_weights(
    train: Train, serve: Any, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    assert train(output_dir="alone") == 0
    told: list[bytes] = []
    over = threading.Event()
    ports = [serve(replying(204, told)), serve(replying(500, [])), serve(lambda _handler: over.wait(20)), 1]
    hooks = [
        {"webhook_type": "raw", "webhook_url": f"http://127.0.0.1:{port}/{SECRET}", "auth_token": f"token-{SECRET}"}
        for port in ports
    ]
    Path("config/hooks.json").write_text(json.dumps(hooks))
    with caplog.at_level(logging.DEBUG):
        assert train(output_dir="told", webhook_config="hooks.json") == 0
    over.set()
    assert ("told" / ADAPTER).read_bytes() == ("alone" / ADAPTER).read_bytes()
    assert [record["step"] for record in metrics(Path("told"))] == [1, 2, 3, 4]
    messages = [json.loads(body) for body in told]
    (final,) = [message for message in messages if message.get("checkpoint", {}).get("is_final")]
    assert final["type"] == "training.checkpoint"
    statuses = [message["data"]["status"] for message in messages if message["type"] == "training.status"]
    assert statuses[-1] == "completed"
    for path in (found for found in Path("told").rglob("*") if found.is_file()):
        assert SECRET.encode() not in path.read_bytes(), path
    shown = capfd.readouterr()
    assert SECRET not in shown.out + shown.err + caplog.text + b"".join(told).decode()
