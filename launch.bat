@echo off
rem Sets up LocalRLM (the first time) and starts it.   launch.bat [arguments for app.py]
rem launch.bat test [arguments for pytest]   launch.bat check   launch.bat setup   launch.bat doctor
rem Everything with a decision in it is in the folder launcher.
setlocal
pushd "%~dp0"
set PYTHONUTF8=1
set "LOCAL_PYTHON="

rem The first Python that is new enough; else any Python 3 that can say what is missing.
call :try 11 py -3.12
call :try 11 py -3.13
call :try 11 py -3.11
call :try 11 py -3.14
call :try 11 py -3
call :try 11 python
call :try 8 py -3
call :try 8 python
if defined LOCAL_PYTHON goto found
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

rem try MINOR PROGRAM OPTION: take this Python unless one was taken already or it is older than 3.MINOR.
:try
if defined LOCAL_PYTHON exit /b 0
%2 %3 -c "import sys; sys.exit(sys.version_info < (3, %1))" >nul 2>nul
if "%ERRORLEVEL%"=="0" set "LOCAL_PYTHON=%2 %3"
exit /b 0
