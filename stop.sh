#!/bin/sh
# Ends LocalRLM gracefully, and Ollama if launch.sh started it.
exec "$(dirname "$0")/launch.sh" stop "$@"
