"""The doors: views of the engine's event stream for other programs. None of them knows how an answer is made."""
