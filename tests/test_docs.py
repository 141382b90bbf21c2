"""The documents' Python blocks, run in order as a reader would."""

from __future__ import annotations

import gc
import re
from pathlib import Path

import pytest
from openai import OpenAI

ROOT = Path(__file__).parent.parent
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")  # readers' snippets leave clients open
@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_the_blocks_of_a_document_run(document, upstream, tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", f"{upstream.url}/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    monkeypatch.setenv("ASKONCE_URL", f"sqlite:///{tmp_path}/answers.db")
    names = {"__name__": "document"}
    for block in re.findall(r"```python\n(.*?)```", document.read_text("utf-8"), re.DOTALL):
        exec(compile(block, document.name, "exec", dont_inherit=True), names)
    # What the snippets left open ends here, not in the test that comes next.
    if "cache" in names:
        names["cache"].session.close()
    for left in [value for value in names.values() if isinstance(value, OpenAI)]:
        left.close()
    names.clear()
    gc.collect()
