"""What the graphics cards of this computer are doing."""

from __future__ import annotations

import logging

from ui.models_view import Card

log = logging.getLogger(__name__)

NONE_HERE = "No NVIDIA graphics card was found on this computer: models run on the processor."


def cards() -> tuple[list[Card], str | None]:
    """The NVIDIA cards with their memory and load; without any, the sentence that says so."""
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        log.debug("NVML: %s", error)
        return [], NONE_HERE
    try:
        found = [_card(index) for index in range(pynvml.nvmlDeviceGetCount())]
    except pynvml.NVMLError as error:
        return [], f"The graphics card does not answer ({error})."
    finally:
        pynvml.nvmlShutdown()
    return found, None if found else NONE_HERE


def _card(index: int) -> Card:
    import pynvml

    handle = pynvml.nvmlDeviceGetHandleByIndex(index)
    name = pynvml.nvmlDeviceGetName(handle)
    memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
    load = pynvml.nvmlDeviceGetUtilizationRates(handle).gpu
    return Card(
        name if isinstance(name, str) else name.decode(), int(memory.used), int(memory.total), int(load)
    )
