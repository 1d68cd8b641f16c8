"""What a device of the home network does with the server: run there as a program, it prints what it saw as JSON.

python -m tests.api.far_client http://10.77.0.1:8123 PASSWORD INVITATION-TOKEN
"""

from __future__ import annotations

import json
import sys
from typing import Any

import httpx
from playwright.sync_api import sync_playwright

from tests.browser.visitor import Visitor

CHROMIUM = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
            "--disable-component-update", "--disable-sync"]  # fmt: skip


def by_http(url: str, password: str) -> dict[str, Any]:
    seen: dict[str, Any] = {}
    with httpx.Client(base_url=url, timeout=30, trust_env=False) as client:
        seen["open"] = {
            path: client.get(path).status_code
            for path in ("/", "/status", "/config", "/gradio_api/info", "/gradio_api/app_id", "/openapi.json")
        }
        seen["foreign_host"] = client.get("/login", headers={"Host": "evil.example"}).status_code
        client.post("/login", data={"name": "owner", "password": password}).raise_for_status()
        seen["answer"] = client.post("/chat", json={"message": "Hi!"}).json()["answer"]
        seen["fetch"] = client.get("/gradio_api/file=http://10.77.0.1/").status_code
    return seen


def by_browser(url: str, password: str, token: str) -> dict[str, Any]:
    seen: dict[str, Any] = {}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=CHROMIUM)
        page = browser.new_page()
        visitor = Visitor(page, url)
        page.goto(url)
        seen["led_to"] = page.url.removeprefix(url).split("?")[0]
        page.get_by_label("Password").fill("not it")
        page.get_by_role("button", name="Log in").click()
        page.get_by_role("alert").get_by_text("wrong").wait_for()
        page.get_by_label("Password").fill(password)
        page.get_by_role("button", name="Log in").click()
        visitor.settled()
        seen["chat"] = "friend" in visitor.ask("Hi!")
        seen["complaints"] = [line for line in visitor.complaints if "401" not in line]  # the wrong password
        phone = browser.new_context(viewport={"width": 390, "height": 844}).new_page()
        phone.goto(f"{url}/login#token={token}")
        Visitor(phone, url).settled()
        seen["phone_at"] = phone.url.removeprefix(url)
        browser.close()
    return seen


if __name__ == "__main__":
    address, secret, invitation = sys.argv[1:]
    print(json.dumps({**by_http(address, secret), **by_browser(address, secret, invitation)}))
