@echo off
rem Sets up LocalRLM (the first time) and starts it.   launch.bat [arguments for app.py]
rem launch.bat test [arguments for pytest]   launch.bat check   launch.bat setup
rem Everything with a decision in it is in the folder launcher.
setlocal
pushd "%~dp0"
set PYTHONUTF8=1
set "LOCAL_PYTHON="

rem The first Python that is new enough; else any Python 3 that can say what is missing.
for %%V in (3.12 3.13 3.11 3.14 3) do (
    py -%%V -c "import sys; sys.exit(sys.version_info < (3, 11))" >nul 2>nul && set "LOCAL_PYTHON=py -%%V" && goto found
)
python -c "import sys; sys.exit(sys.version_info < (3, 11))" >nul 2>nul && set "LOCAL_PYTHON=python" && goto found
py -3 -c "import sys; sys.exit(sys.version_info < (3, 8))" >nul 2>nul && set "LOCAL_PYTHON=py -3" && goto found
python -c "import sys; sys.exit(sys.version_info < (3, 8))" >nul 2>nul && set "LOCAL_PYTHON=python" && goto found
echo LocalRLM needs Python 3.11 or newer, and no Python was found.
echo Install it with:  winget install Python.Python.3.12
echo or from python.org (tick "Add python.exe to PATH"), then start launch.bat again.
set CODE=1
goto end

:found
%LOCAL_PYTHON% -m launcher %*
set CODE=%ERRORLEVEL%

:end
popd
rem A window that was opened by a double click would close before its sentence is read.
if not "%CODE%"=="0" if not defined CI pause
exit /b %CODE%
