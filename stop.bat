@echo off
rem Ends LocalRLM gracefully, and Ollama if launch.bat started it.
call "%~dp0launch.bat" stop %*
