"""What a run uploads, and how it ends when that fails: against a hub and a store on loopback."""

from __future__ import annotations

import json
import logging
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import boto3
import pytest
import torch
from diffusers import OmniGenTransformer2DModel
from moto.server import ThreadedMotoServer
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from simpletuner.adapters.lycoris.adapter import attach_lycoris
from simpletuner.adapters.peft import attach_lora
from simpletuner.adapters.targets import LoraSettings
from simpletuner.config.files.lycoris import read_lycoris
from simpletuner.core.batch import Prompt
from simpletuner.core.files import files_below
from simpletuner.models.omnigen.family import OmniGen
from simpletuner.models.omnigen.layers import FACTS, TINY_FOLDER
from simpletuner.validation.recipe import read_recipe
from tests.observe.publish.hub_server import TOKEN, Hub, running_hub
from tests.runs.conftest import Train

ADAPTER = "pytorch_lora_weights.safetensors"
PUSH = {"push_to_hub": "true", "hub_model_id": "my-frog", "checkpoint_step_interval": "0"}
SHOWN = {
    "validation_disable": "false",
    "validation_prompt": "a frog",
    "validation_resolution": "64x64",
    "validation_num_inference_steps": "2",
    "disable_benchmark": "true",
}
KEY, SECRET = "key-of-the-tests", "canary-of-the-tests"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub, and the environment that leads there: the process that uploads reads it anew."""
    with running_hub() as running:
        for name, value in running.environ().items():
            monkeypatch.setenv(name, value)
        yield running


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in files_below(folder)}


def test_a_finished_run_is_on_the_hub(
    train: Train, hub: Hub, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        assert train(**PUSH, **SHOWN, modelspec_comment='["by a test", "step {current_step}"]') == 0
    repository = hub.repositories["fox/my-frog"]
    assert repository.private
    assert repository.files == contents(Path("output/hub"))
    whole = contents(Path("output"))
    for name in (ADAPTER, "lycoris_config.json", f"ema/{ADAPTER}"):
        assert repository.files[name] == whole[name]
    for number in range(2):
        shown = Path(f"output/hub/assets/image_{number}.png")
        assert [caption for caption, _ in read_recipe(shown).panels] == ["step 4"], "without the base model beside it"
        with Image.open(shown) as picture:
            assert picture.size == (64, 64)
    assert json.loads(repository.files["simpletuner_config.json"])["hub_model_id"] == "my-frog"
    assert "# my-frog" in repository.files["README.md"].decode()
    with safe_open(f"output/{ADAPTER}", "pt") as opened:
        assert opened.metadata()["modelspec.comment"] == "by a test\nstep 4"
    said = capfd.readouterr()
    assert f"the result is at {hub.endpoint}/fox/my-frog" in said.out
    everything = b"".join([*whole.values(), *repository.files.values()])
    assert TOKEN.encode() not in everything
    assert TOKEN not in said.out + said.err + caplog.text


@pytest.mark.long
@pytest.mark.parametrize("background", ["true", "false"])
def test_each_checkpoint_has_a_folder_and_the_newest_is_at_the_root(train: Train, hub: Hub, background: str) -> None:
    words = {**PUSH, "checkpoint_step_interval": "2", "push_checkpoints_to_hub": "true"}
    assert train(**words, push_to_hub_background=background) == 0
    files = hub.repositories["fox/my-frog"].files
    for name in ("checkpoint-2", "checkpoint-4"):
        folder = Path("output") / name
        assert files[f"{name}/{ADAPTER}"] == (folder / ADAPTER).read_bytes()
        assert files[f"{name}/ema/{ADAPTER}"] != files[f"{name}/{ADAPTER}"]
        assert f"{name}/README.md" in files
    assert files[ADAPTER] == files[f"checkpoint-4/{ADAPTER}"] != files[f"checkpoint-2/{ADAPTER}"]
    summaries = [commit["summary"] for commit in hub.repositories["fox/my-frog"].commits]
    assert summaries == [f"default: step {step}, epoch {epoch}" for step, epoch in ((2, 0), (4, 1), (4, 1))]
    assert not list(Path("output").glob(".hub-*"))


@pytest.mark.long
def test_a_checkpoint_is_uploaded_whole_after_it_was_removed_here(train: Train, hub: Hub) -> None:
    """The hub answers to the first upload only when its checkpoint is gone."""
    hub.answers["commit"] = [-2]

    def open_when_gone() -> None:
        while not Path("output/checkpoint-6").is_dir() or Path("output/checkpoint-2").is_dir():
            time.sleep(0.02)
        hub.gate.set()

    waiting = threading.Thread(target=open_when_gone, daemon=True)
    waiting.start()
    words = {**PUSH, "checkpoint_step_interval": "2", "checkpoints_total_limit": "1", "max_train_steps": "6"}
    assert train(**words, push_checkpoints_to_hub="true", push_to_hub_background="true") == 0
    assert not Path("output/checkpoint-2").exists()
    files = hub.repositories["fox/my-frog"].files
    assert {f"checkpoint-{step}/{ADAPTER}" for step in (2, 4, 6)} <= files.keys()
    assert len(files[f"checkpoint-2/{ADAPTER}"]) == len(files[ADAPTER])


@pytest.mark.long
def test_a_hub_that_fails_in_mid_run_changes_no_weight(
    train: Train, hub: Hub, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(output_dir="alone") == 0
    hub.answers["create"] = [500, 0, 503]
    words = {**PUSH, "checkpoint_step_interval": "2", "push_checkpoints_to_hub": "true"}
    assert train(**words) == 0
    said = capsys.readouterr().out
    assert "warning: checkpoint-2 was not uploaded: the hub answers 503, 3 times; training goes on" in said
    assert Path("output", ADAPTER).read_bytes() == Path("alone", ADAPTER).read_bytes()
    assert f"checkpoint-4/{ADAPTER}" in hub.repositories["fox/my-frog"].files


def test_a_refusal_at_the_end_leaves_the_result_and_a_command_that_works(
    train: Train, hub: Hub, capfd: pytest.CaptureFixture[str]
) -> None:
    hub.answers["commit"] = [403]
    assert train(**PUSH) == 5
    said = capfd.readouterr()
    assert "the result is whole in output, and could not be uploaded: fox/my-frog: the hub refuses it (403)" in said.err
    assert "final result saved" in said.out
    assert Path("output", ADAPTER).is_file()
    (command,) = [line.partition("cure: ")[2] for line in said.err.splitlines() if "cure: " in line]
    assert command == "hf upload fox/my-frog output/hub . --private"
    hub.repositories.clear()
    program = Path(sys.executable).with_name("hf")
    subprocess.run([str(program), *shlex.split(command)[1:]], check=True, capture_output=True, timeout=60)
    assert hub.repositories["fox/my-frog"].files == contents(Path("output/hub"))
    assert hub.repositories["fox/my-frog"].private


def test_nobody_who_is_not_logged_in_trains_first(
    train: Train, hub: Hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    assert train(**PUSH) == 2
    told = capfd.readouterr().err
    assert "push_to_hub: nobody is logged in" in told
    assert "hf auth login" in told
    assert not hub.asked
    assert not Path("output", "metrics.jsonl").read_text()


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_upload_at_once(train: Train, hub: Hub, number: signal.Signals) -> None:
    del train
    hub.answers["commit"] = [-1]
    words = [*(f"{key}={value}" for key, value in PUSH.items()), "max_train_steps=1"]
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    started = [sys.executable, "-m", "simpletuner", "train", *words]
    with Path("told").open("w") as told:
        process = subprocess.Popen(started, stdout=told, stderr=told, start_new_session=True)
    signal.signal(signal.SIGINT, former)
    try:
        while "commit" not in hub.asked:
            assert process.poll() is None, Path("told").read_text()
            time.sleep(0.05)
        began = time.monotonic()
        process.send_signal(number)
        assert process.wait(timeout=20) == 128 + number
        assert time.monotonic() - began < 8
    finally:
        process.kill()
    said = Path("told").read_text()
    assert "stopped while uploading; the result is whole in output" in said
    assert "to upload it: hf upload fox/my-frog output/hub . --private" in said
    assert load_file(f"output/{ADAPTER}")


@pytest.mark.long
@pytest.mark.two_ranks
def test_of_two_processes_one_uploads_and_both_end_alike(train: Train, hub: Hub) -> None:
    del train
    hub.answers["commit"] = [200, 403]
    options = {**PUSH, "checkpoint_step_interval": "4", "push_checkpoints_to_hub": "true", "num_processes": "2"}
    words = [f"{key}={value}" for key, value in options.items()]
    started = [sys.executable, "-m", "simpletuner", "train", *words]
    ended = subprocess.run(started, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 5, ended.stderr
    assert ended.stderr.count("hf upload fox/my-frog output/hub . --private") == 1
    assert (hub.asked.count("whoami"), hub.asked.count("commit")) == (1, 2)
    assert f"checkpoint-4/{ADAPTER}" in hub.repositories["fox/my-frog"].files


@pytest.fixture
def store() -> Iterator[tuple[dict[str, str], Any]]:
    """A destination on a real S3 server, and a client of it."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    host, port = moto.get_host_and_port()
    address = f"http://{host}:{port}"
    made = boto3.client(
        "s3", endpoint_url=address, aws_access_key_id=KEY, aws_secret_access_key=SECRET, region_name="us-east-1"
    )
    yield (
        {
            "provider": "s3",
            # The stores of one process are one store.
            "bucket": f"runs-{uuid4().hex}",
            "region": "us-east-1",
            "endpoint_url": address,
            "access_key": KEY,
            "secret_key": "{env:STORE_SECRET}",
            "base_path": "fox",
        },
        made,
    )
    moto.stop()


def test_a_store_that_has_no_room_yet_gets_it_from_the_same_command_later(
    train: Train, store: tuple[dict[str, str], Any], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STORE_SECRET", SECRET)
    destination, client = store
    bucket = destination["bucket"]
    Path("config/stores.json").write_text(json.dumps(destination))
    words = {
        "publishing_config": "stores.json",
        "post_upload_script": "sh -c 'echo $SIMPLETUNER_REMOTE_CHECKPOINT_PATH $SIMPLETUNER_GLOBAL_STEP > sent'",
    }
    assert train(**words) == 5
    told = capfd.readouterr().err
    assert f"s3://{bucket}/fox: there is no such bucket or container" in told
    assert "start the same command again" in told
    assert SECRET not in told
    client.create_bucket(Bucket=bucket)
    assert train(**words) == 0
    listed = client.list_objects_v2(Bucket=bucket)["Contents"]
    found = {entry["Key"]: client.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read() for entry in listed}
    for name in (ADAPTER, "checkpoint-4/manifest.json", "checkpoint-4/optimizer.safetensors"):
        assert found[f"fox/{name}"] == Path("output", name).read_bytes()
    assert not any("cache" in key or "/." in key for key in found)
    assert SECRET.encode() not in b"".join(found.values())
    assert Path("sent").read_text().split() == [f"s3://{bucket}/fox", "4"]


@pytest.mark.long
def test_a_checkpoint_in_a_store_is_gone_on_from_elsewhere(
    train: Train, store: tuple[dict[str, str], Any], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STORE_SECRET", SECRET)
    destination, client = store
    bucket = destination["bucket"]
    client.create_bucket(Bucket=bucket)
    Path("config/stores.json").write_text(json.dumps(destination))
    assert train(publishing_config="stores.json") == 0
    wanted = Path("output", ADAPTER).read_bytes()
    where = f"s3://{bucket}/fox/checkpoint-2"
    for asked in (where, "fox/checkpoint-2"):
        shutil.rmtree("output")
        assert train(publishing_config="stores.json", resume_from_checkpoint=asked) == 0
        assert f"checkpoint-2 was fetched from {where}" in capfd.readouterr().out
        assert Path("output", ADAPTER).read_bytes() == wanted
    assert train(publishing_config="stores.json", resume_from_checkpoint=where) == 0
    assert "checkpoint-2 is here already" in capfd.readouterr().out
    shutil.rmtree("output")
    client.put_object(Bucket=bucket, Key="fox/checkpoint-2/optimizer.safetensors", Body=b"other bytes")
    assert train(publishing_config="stores.json", resume_from_checkpoint=where) == 3
    assert f"{where}: resume_from_checkpoint: cannot resume" in capfd.readouterr().err
    assert not list(Path("output").glob("*checkpoint-2*"))
    assert train(publishing_config="stores.json", resume_from_checkpoint=f"s3://{bucket}/fox/checkpoint-7") == 3
    assert "there is no checkpoint with a manifest.json" in capfd.readouterr().err
    assert train(publishing_config="stores.json", resume_from_checkpoint="s3://other/checkpoint-7") == 2
    assert "is in no store of publishing_config" in capfd.readouterr().err


def velocity(denoiser: nn.Module) -> Tensor:
    draws = torch.Generator().manual_seed(0)
    noisy, prompts = torch.randn(2, 4, 8, 8, generator=draws), [Prompt(torch.arange(3, 9)), Prompt(torch.arange(5, 11))]
    with torch.no_grad():
        return OmniGen().predict_velocity(denoiser.eval(), noisy, torch.tensor([0.2, 0.7]), prompts)


def as_the_card_says(card: str, fetched: Path) -> nn.Module:
    """The tiny transformer after the lines of the card that put the result into the pipeline."""
    code = card.partition("```python\n")[2].partition("```")[0]
    lines = code.partition("from_pretrained(TINY_FOLDER")[2].partition("\n")[2].partition("pipeline.to(")[0]
    imports = "\n".join(line for line in code.splitlines() if line.startswith(("import ", "from ")))
    transformer = OmniGenTransformer2DModel.from_pretrained(TINY_FOLDER, subfolder="transformer")
    pipeline = SimpleNamespace(transformer=transformer)
    names: dict[str, Any] = {}
    exec(imports.replace("from diffusers import OmniGenPipeline\n", ""), names)
    names |= {"pipeline": pipeline, "hf_hub_download": lambda _repository, name: str(fetched / name)}
    exec(lines.replace("'fox/my-frog'", repr(str(fetched))).replace("bfloat16", "float32"), names)
    found: nn.Module = pipeline.transformer
    return found


@pytest.mark.long
@pytest.mark.parametrize("kind", ["lycoris", "standard", "full"])
def test_the_code_of_the_card_gives_the_model_that_was_trained(train: Train, hub: Hub, kind: str) -> None:
    words = {"model_type": "full"} if kind == "full" else {"lora_type": kind}
    assert train(**PUSH, **words, learning_rate="0.01") == 0
    fetched = Path("fetched")
    shutil.copytree("output/hub", fetched)
    expected = OmniGen().load_denoiser(Path("output") if kind == "full" else TINY_FOLDER, torch.float32)
    tensors = {} if kind == "full" else load_file(Path("output", ADAPTER))
    if kind == "lycoris":
        attach_lycoris(expected, read_lycoris(Path("output/lycoris_config.json")), FACTS.class_aliases, 0).load_tensors(
            tensors
        )
    elif kind == "standard":
        settings = LoraSettings(rank=16, alpha=16, dropout=0.0)
        linears = OmniGen().linears(expected)
        attach_lora(expected, settings, FACTS.class_aliases, linears, 0).load_tensors(tensors)
    card = hub.repositories["fox/my-frog"].files["README.md"].decode()
    found = velocity(as_the_card_says(card, fetched))
    base = velocity(OmniGen().load_denoiser(TINY_FOLDER, torch.float32))
    assert torch.allclose(found, velocity(expected), atol=1e-4)
    assert (found - base).abs().max() > 1e-2
