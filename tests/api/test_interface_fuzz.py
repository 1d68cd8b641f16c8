"""`schemathesis` reads the interface's own description and sends what it allows, and what it does not."""

from __future__ import annotations

import contextlib

import httpx
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance

from tests.api.server import RunningApp

EXAMPLES = 5
LEFT_OUT = {("POST", "/settings")}
"""Would send the application away from the scripted model server; its values are tried in `test_system.py`."""


def test_nothing_that_can_be_sent_breaks_the_server(app: RunningApp, client: httpx.Client) -> None:
    schema = schemathesis.openapi.from_url(f"{app.url}/openapi.json")
    operations = [result.ok() for result in schema.get_all_operations()]
    tried = 0
    for operation in operations:
        if (operation.method.upper(), operation.path) in LEFT_OUT:
            continue
        for mode in GenerationMode:

            @settings(
                max_examples=EXAMPLES,
                deadline=None,
                suppress_health_check=list(HealthCheck),
                phases=[Phase.explicit, Phase.generate],
                derandomize=True,
                database=None,
            )
            @given(case=operation.as_strategy(generation_mode=mode))
            def attack(case: Case) -> None:
                response = case.call(timeout=30)
                assert response.status_code not in (500, 502), response.text
                case.validate_response(
                    response, checks=[response_schema_conformance, content_type_conformance]
                )

            with contextlib.suppress(Unsatisfiable):  # nothing about this operation can be wrong
                attack()
                tried += 1
    assert tried >= 60
    assert client.get("/status").status_code == 200
