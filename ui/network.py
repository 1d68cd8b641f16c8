"""The home network on the Settings tab: its address, a code to scan, who may come in and who is in."""

from __future__ import annotations

from ui.home import News, Person, State
from ui.html import block, do, esc, notice
from ui.words import ago, count

_BROWSERS = (("Edg/", "Edge"), ("OPR/", "Opera"), ("Firefox/", "Firefox"), ("Chrome/", "Chrome"), ("Safari/", "Safari"))  # fmt: skip
_SYSTEMS = (
    ("Android", "Android"), ("iPhone", "iPhone"), ("iPad", "iPad"), ("Windows", "Windows"), ("Mac OS", "Mac"), ("Linux", "Linux"),
)  # fmt: skip
_ACCOUNT = '<p><a href="/account">Your account</a> <small>your devices, your password, log out</small></p>'


def switch_help(state: State) -> str:
    """The sentence under the switch."""
    if state.fixed:
        return state.fixed
    return (
        "Phones and other computers in your home can then open LocalRLM, after a log-in. "
        "This computer still needs none."
    )


def home_network(state: State, news: News) -> str:
    """Everything under the switch; empty while the home network is closed."""
    if not state.is_open:
        return ""
    if not state.people:
        return block(f'<div class="lan">{_addresses(state)}{_ACCOUNT}</div>')
    parts = [
        _password(news),
        _key(news),
        _addresses(state),
        _code(state, news),
        *map(_person, state.people),
        _ACCOUNT,
    ]
    if not state.encrypted:
        parts.append(
            notice(
                "The connection is not encrypted: use it only on a network that you trust, or start with --https.",
                "warn",
            )
        )
    return block(f'<div class="lan">{"".join(parts)}</div>')


def device(agent: str) -> str:
    """``Chrome on Android``, from what a browser says of itself."""
    browser = next((name for sign, name in _BROWSERS if sign in agent), "")
    system = next((name for sign, name in _SYSTEMS if sign in agent), "")
    return f"{browser} on {system}" if browser and system else browser or agent.split("/")[0] or "A program"


def _addresses(state: State) -> str:
    trouble = notice(state.trouble, "warn") if state.trouble else ""
    if not state.addresses:
        nowhere = "This computer is in no network right now. As soon as it is, its address is here."
        return trouble or notice(nowhere, "warn")
    first, *others = (f"<b>{esc(address)}</b>" for address in state.addresses)
    more = f'<p class="quiet">Also at {", ".join(others)}.</p>' if others else ""
    return f'<p class="address">Open to your home network at {first}</p>{more}{trouble}'


def _code(state: State, news: News) -> str:
    if not news.code or not state.addresses:
        return ""
    whose = "you" if any(p.owner and p.name == news.code_for for p in state.people) else esc(news.code_for)
    return (
        f'<figure class="code"><div class="qr" role="img" aria-label="QR code that logs {whose} in">{news.code}</div>'
        f"<figcaption>Scan this with the camera of a phone that is in the same network. It logs {whose} in, once, within "
        "15 minutes.</figcaption></figure>"
    )


def _password(news: News) -> str:
    if not news.password:
        return ""
    return (
        f'<div class="notice good">The password of {esc(news.password_of)} is <code>{esc(news.password)}</code>. '
        "Write it down: it is shown this once.</div>"
    )


def _key(news: News) -> str:
    if not news.key:
        return ""
    return (
        f'<div class="notice good">The new key is <code>{esc(news.key)}</code>. Copy it now: it is shown this once. '
        "Programs send it as <code>Authorization: Bearer …</code>.</div>"
    )


def _person(person: Person) -> str:
    name = person.name
    buttons = [
        do("lan", "code", name, "Code for a phone", title=f"Show a code that logs {name} in"),
        do("lan", "password", name, "New password", extra="confirm",
           title=f"Make up a new password for {name}? All devices of {name} are logged out."),
    ]  # fmt: skip
    if not person.owner:
        what = f"Remove {name}? What belongs to them stays on this computer."
        buttons.append(do("lan", "remove", name, "Remove", title=what, extra="confirm"))
    lines = [
        f"<li><span>{esc(device(session.agent))} <small>{esc(session.address)}, seen {ago(session.seen_at)}</small></span>"
        + do("lan", "end", session.id, "End", title=f"Log this device of {name} out")
        + "</li>"
        for session in person.sessions
    ] + [
        f"<li><span>Key {esc(key.label or 'without a name')} <small>"
        + (f"used {ago(key.used_at)}" if key.used_at else "never used")
        + "</small></span>"
        + do("lan", "revoke", key.id, "Revoke", title=f"Take the key {key.label} away")
        + "</li>"
        for key in person.keys
    ]
    devices = count(len(person.sessions), "device")
    inside = f"<ul>{''.join(lines)}</ul>" if lines else ""
    return (
        f'<div class="person"><p><b>{esc(name)}</b> <small>{"the owner, " if person.owner else ""}{devices} logged in</small>'
        f'</p><div class="tools">{"".join(buttons)}</div>{inside}</div>'
    )
