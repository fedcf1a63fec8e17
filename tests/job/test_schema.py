"""The JSON Schema that editors read, and the job file that `init` writes."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from batchroute.job.loading import load_job
from batchroute.job.presets import PRESETS
from batchroute.job.schema import job_schema
from batchroute.job.starter import STARTER


def parts(schema: Any) -> Iterator[dict[str, Any]]:
    if isinstance(schema, dict):
        yield schema
    for below in schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ():
        yield from parts(below)


def test_schema_is_json_and_closed() -> None:
    schema = json.loads(json.dumps(job_schema()))

    assert schema["title"] == "batchroute job"
    assert schema["required"] == ["job", "input", "output", "prompt", "providers", "models", "routes"]
    assert all(part.get("additionalProperties") is not None for part in parts(schema) if "properties" in part)


def test_every_key_of_the_main_sections_is_described() -> None:
    schema = job_schema()

    sections = [
        schema,
        *(schema["$defs"][name] for name in ("Input", "Output", "Prompt", "Provider", "Model")),
    ]
    missing = [
        key
        for section in sections
        for key, each in section["properties"].items()
        if not each.keys() & {"description", "$ref"}
    ]
    assert missing == []


def test_durations_and_secrets_are_written_as_text() -> None:
    definitions = job_schema()["$defs"]

    timeout = definitions["Model"]["properties"]["timeout"]
    assert (timeout["type"], timeout["default"]) == ("string", "60s")
    assert "30s" in timeout["examples"]
    assert definitions["Provider"]["properties"]["api_key"]["type"] == "string"
    assert not [
        part for part in parts(definitions) if part.get("writeOnly") is True or part.get("type") == "null"
    ]


def test_properties_may_have_any_name() -> None:
    assert "pattern" in job_schema()["$defs"]["Model"]["properties"]["timeout"]
    assert {"when", "models"} < job_schema()["$defs"]["Route"]["properties"].keys()


def test_starter_names_every_preset() -> None:
    named = STARTER.partition("{preset: openai}")[2].partition("Any other")[0]
    assert set(PRESETS) - {"openai"} == set(re.findall(r"\w+", named)) - {"or"}


def test_starter_loads_and_needs_neither_key_nor_network(tmp_path: Path) -> None:
    path = tmp_path / "job.yaml"
    path.write_text(STARTER)

    job = load_job(path, environ={})

    assert job.warnings == ()
    assert {provider.kind for provider in job.providers.values()} == {"simulator"}
    assert job.input.path == str(tmp_path / "requests.jsonl")


def test_commented_entries_of_the_starter_load_too(tmp_path: Path) -> None:
    uncommented = [
        line.replace("# ", "", 1) if line.startswith("  # ") and ("{" in line or ":  " in line) else line
        for line in STARTER.splitlines()
    ]
    path = tmp_path / "job.yaml"
    path.write_text("\n".join(uncommented).replace("  # mini:", "  mini:").replace("  #   ", "    "))

    job = load_job(path, environ=dict.fromkeys(("OPENAI_API_KEY", "MY_API_KEY"), "EMPTY"))

    assert job.models["mini"].provider == "openai"
    assert job.models["mini"].limits.rpm == 10_000


def test_loading_imports_no_heavy_library() -> None:
    code = (
        "import sys, batchroute.job.loading; print({'polars', 'openai', 'jinja2'} & sys.modules.keys() or '')"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == ""
