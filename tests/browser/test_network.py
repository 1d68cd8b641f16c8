"""The home network as people meet it: the switch in Settings, the code for a phone, the log-in page, devices, people, keys.

The phone is a browser of its own that comes in by this computer's address in its network, as another device does.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator

import httpx
import pytest
import zxingcpp
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

from rlm_core.security.network import home_addresses
from tests.browser.house import App
from tests.browser.test_page import obstacles
from tests.browser.visitor import ANSWER_SECONDS, Visitor
from tests.scripted.ollama_server import ScriptedOllama

pytestmark = pytest.mark.skipif(not home_addresses(), reason="this computer is in no network")
ANDROID = (
    "Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0 Mobile Safari/537.36"
)


@pytest.fixture(scope="module")
def house(ollama: ScriptedOllama, tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    folder = tmp_path_factory.mktemp("network") / "data"
    running = App(folder, "--backend", "ollama", "--base-url", ollama.url).start()
    yield running
    running.stop()


@pytest.fixture
def phone(browser: Browser) -> Iterator[Page]:
    """A browser that has never been here."""
    context: BrowserContext = browser.new_context(viewport={"width": 390, "height": 844}, user_agent=ANDROID)
    yield context.new_page()
    context.close()


def address(house: App) -> str:
    return f"http://{home_addresses()[0]}:{house.port}"


def at_settings(visitor: Visitor) -> Locator:
    """Go to the Settings tab; returns the switch once it shows how things are."""
    visitor.go("Settings")
    expect(visitor.page.locator("#lan-switch")).to_contain_text("Phones and other computers")
    return visitor.page.locator("#lan-switch input")


def opened(visitor: Visitor) -> Visitor:
    """With the switch on, whatever an earlier test left."""
    switch = at_settings(visitor)
    if not switch.is_checked():
        switch.check()
    expect(visitor.page.locator("#lan .address")).to_be_visible()
    return visitor


def part_of(visitor: Visitor, name: str) -> Locator:
    """What Settings shows of one person."""
    return visitor.page.locator("#lan .person").filter(has=visitor.page.locator("b", has_text=name))


def code(visitor: Visitor, name: str) -> str:
    """What a phone's camera reads from a new code of this person."""
    picture = visitor.page.locator("#lan .qr")
    before = picture.inner_html() if picture.count() else ""
    part_of(visitor, name).get_by_text("Code for a phone").click()
    expect(picture).to_be_visible()
    redrawn = "before => document.querySelector('#lan .qr')?.innerHTML !== before"
    visitor.page.wait_for_function(redrawn, arg=before)
    expect(picture).to_have_attribute("aria-label", re.compile(f"logs (you|{name}) in"))
    found = zxingcpp.read_barcodes(Image.open(io.BytesIO(picture.screenshot())))
    return str(found[0].text)


def new_password(visitor: Visitor, name: str) -> str:
    said = visitor.page.locator("#lan .notice", has_text=f"The password of {name} is").locator("code")
    before = said.inner_text() if said.count() else ""
    visitor.page.once("dialog", lambda dialog: dialog.accept())
    part_of(visitor, name).get_by_text("New password").click()
    expect(said).to_be_visible()
    expect(said).not_to_have_text(before)
    return said.inner_text()


def log_in(page: Page, name: str, password: str) -> None:
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()


def test_the_switch_opens_a_running_app_and_its_code_logs_a_phone_in(
    house: App, visit: Callable[..., Visitor], phone: Page, browser: Browser
) -> None:
    owner = visit(house)
    owner.say("Sing me the ballad of the harbour.")
    expect(owner.chat).to_contain_text("Verse 1.", timeout=ANSWER_SECONDS)
    with pytest.raises(httpx.TransportError):
        httpx.get(address(house), trust_env=False)
    opened(owner)
    shown = owner.page.locator("#lan")
    expect(shown).to_contain_text(address(house))
    expect(shown.locator(".notice.good code")).to_have_text(re.compile(r"^\w{5}-\w{5}-\w{5}$"))
    assert obstacles(owner) == {}

    url = code(owner, "owner")
    assert url.startswith(f"{address(house)}/login#token=")
    expect(shown.locator(".notice.good")).to_have_count(0)  # the password was shown once
    phone.goto(url)
    visitor = Visitor(phone, address(house)).settled()
    assert "one short sentence" in visitor.ask("Who are you?")
    assert visitor.complaints == []

    again = browser.new_context().new_page()
    again.goto(url)
    expect(again.get_by_role("alert")).to_contain_text("This invitation has been used or is too old.")
    again.context.close()

    owner.go("Chat")  # the page on this computer has not noticed anything
    expect(owner.chat).to_contain_text("Verse 40.", timeout=ANSWER_SECONDS)
    expect(visit(house).page.locator("#conversations")).to_contain_text("ballad")


def test_a_device_is_led_to_the_log_in_told_what_is_wrong_let_in_and_logged_out(
    house: App, visit: Callable[..., Visitor], phone: Page
) -> None:
    password = new_password(opened(visit(house)), "owner")
    phone.goto(address(house))
    expect(phone).to_have_url(re.compile(r"/login\?next=/$"))
    log_in(phone, "owner", "not-this-one")
    expect(phone.get_by_role("alert")).to_have_text("The name or the password is wrong.")
    log_in(phone, "owner", password)
    visitor = Visitor(phone, address(house)).settled()
    visitor.go("Settings")
    expect(phone.locator("#lan-switch")).to_contain_text("on the computer that runs LocalRLM only")
    expect(phone.locator("#lan-switch input")).to_be_disabled()
    phone.get_by_role("link", name="Your account").click()
    expect(phone.locator("#sessions")).to_contain_text("Chrome on Android")
    phone.get_by_role("button", name="Log out here").click()
    expect(phone.get_by_role("button", name="Log in")).to_be_visible()
    phone.goto(address(house))
    expect(phone).to_have_url(re.compile(r"/login\?next=/$"))


def test_people_are_added_their_devices_ended_and_they_are_removed(
    house: App, visit: Callable[..., Visitor], phone: Page
) -> None:
    owner = opened(visit(house))
    owner.page.get_by_label("Somebody's name").fill("anna")
    owner.page.get_by_role("button", name="Add person").click()
    expect(part_of(owner, "anna")).to_be_visible()
    expect(owner.page.get_by_label("Somebody's name")).to_have_value("")
    password = owner.page.locator("#lan .notice.good code").inner_text()

    phone.goto(address(house))
    log_in(phone, "anna", password)
    anna = Visitor(phone, address(house)).settled()
    expect(phone.locator("#conversations")).not_to_contain_text("ballad")
    anna.go("Settings")
    expect(phone.locator("#lan-switch")).to_contain_text("Only the owner")
    expect(phone.locator("#lan .person")).to_have_count(0)
    expect(phone.get_by_role("button", name="Add person")).to_have_count(0)

    owner.go("Chat")
    at_settings(owner)
    device = part_of(owner, "anna").locator("li", has_text="Chrome on Android")
    expect(device).to_be_visible()
    device.locator("button").click()
    expect(device).to_have_count(0)
    phone.goto(address(house))
    expect(phone).to_have_url(re.compile(r"/login"))

    phone.goto(code(owner, "anna"))
    anna.settled()
    owner.page.once("dialog", lambda dialog: dialog.accept())
    part_of(owner, "anna").get_by_text("Remove").click()
    expect(part_of(owner, "anna")).to_have_count(0)
    phone.goto(address(house))
    expect(phone).to_have_url(re.compile(r"/login"))


def test_a_program_comes_in_with_a_key_until_it_is_revoked(house: App, visit: Callable[..., Visitor]) -> None:
    owner = opened(visit(house))
    owner.page.get_by_label("A program's name").fill("Open WebUI")
    owner.page.get_by_role("button", name="Make a key").click()
    key = owner.page.locator("#lan .notice.good code").first
    expect(key).to_contain_text("rlm-")
    bearer = {"Authorization": f"Bearer {key.inner_text()}"}
    with httpx.Client(base_url=address(house), headers=bearer, trust_env=False, timeout=30) as program:
        assert program.get("/status").status_code == 200
        line = part_of(owner, "owner").locator("li", has_text="Key Open WebUI")
        line.locator("button").click()
        expect(line).to_have_count(0)
        assert program.get("/status").status_code == 401


def test_the_choice_is_remembered_and_turned_off_everybody_else_is_out_at_once(
    house: App, visit: Callable[..., Visitor], phone: Page
) -> None:
    owner = opened(visit(house))
    phone.goto(code(owner, "owner"))
    Visitor(phone, address(house)).settled()
    owner.page.context.close()
    phone.goto("about:blank")

    house.stop()
    house.start()
    phone.goto(address(house))
    Visitor(phone, address(house)).settled()  # still logged in
    here = visit(house)  # and on this computer there still is no log-in
    with httpx.Client(base_url=address(house), trust_env=False, timeout=30) as kept_open:
        assert kept_open.get("/login").status_code == 200
        at_settings(here).uncheck()
        expect(here.page.locator("#lan .address")).to_have_count(0)
        with pytest.raises(httpx.TransportError):
            kept_open.get("/login")
    here.go("Chat")
    assert "one short sentence" in here.ask("Are you still here?")

    opened(here)
    expect(here.page.locator("#lan .notice.good")).to_have_count(0)  # the password is the old one
    phone.goto(address(house))
    Visitor(phone, address(house)).settled()
