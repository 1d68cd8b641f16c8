/* The calls of rlm_core/repl/launch_windows.py and worker/lock_windows.py in their order, with the bytes that the Python
 * side makes of its structures. Each step is reported as a line "name=1" or "name=0 (error)".
 *
 *   job.exe host LIMITS LIMITS_WITH_MEMORY SECURITY_ATTRIBUTES CREATION_FLAGS UI_RIGHTS TOKEN
 *       (structures in hexadecimal, numbers in decimal) starts itself as the child, in a Job, and then reads a letter:
 *       c closes the Job's handle, d ends this process without any cleaning up.
 *   job.exe child EVENT TOKEN
 */
#include <windows.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WAIT_MILLISECONDS 20000

static void report(const char *name, int done)
{
    if (done)
        printf("%s=1\n", name);
    else
        printf("%s=0 (%lu)\n", name, GetLastError());
    fflush(stdout);
}

static DWORD from_hex(const char *text, unsigned char *bytes, size_t room)
{
    DWORD size = 0;
    unsigned value;
    for (; size < room && sscanf(text + 2 * size, "%2x", &value) == 1; size++)
        bytes[size] = (unsigned char)value;
    return size;
}

static HANDLE interrupted;

static void CALLBACK on_event(void *unused, BOOLEAN timed_out)
{
    (void)unused, (void)timed_out;
    SetEvent(interrupted);
}

static BOOL start(char *command, DWORD flags, STARTUPINFOA *startup, PROCESS_INFORMATION *process)
{
    startup->cb = sizeof *startup;
    return CreateProcessA(NULL, command, NULL, NULL, startup->dwFlags != 0, flags, NULL, NULL, startup, process);
}

static int child(char **arguments)
{
    HANDLE event = (HANDLE)(size_t)strtoull(arguments[2], NULL, 10), waiting;
    char letter, command[MAX_PATH + 16] = "\"", self[MAX_PATH];
    STARTUPINFOA startup = {0};
    PROCESS_INFORMATION second;
    DWORD count;

    ReadFile(GetStdHandle(STD_INPUT_HANDLE), &letter, 1, &count, NULL); /* the host has made the Job by then */
    interrupted = CreateEventW(NULL, TRUE, FALSE, NULL);
    report("wait registered", RegisterWaitForSingleObject(&waiting, event, on_event, NULL, INFINITE, 0));
    report("soft interrupt", WaitForSingleObject(interrupted, WAIT_MILLISECONDS) == WAIT_OBJECT_0);

    GetModuleFileNameA(NULL, self, sizeof self);
    strcat(strcat(command, self), "\" nothing");
    report("second process refused", !start(command, 0, &startup, &second));
    report("memory refused", VirtualAlloc(NULL, (size_t)2 << 30, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE) == NULL);
    printf("child waits\n");
    fflush(stdout);
    Sleep(INFINITE);
    return 0;
}

static int host(char **arguments)
{
    unsigned char limits[512], with_memory[512], security[64];
    DWORD size = from_hex(arguments[2], limits, sizeof limits);
    DWORD size_with_memory = from_hex(arguments[3], with_memory, sizeof with_memory);
    DWORD rights = strtoul(arguments[6], NULL, 10), written;
    HANDLE job, event, gate_in, gate_out;
    STARTUPINFOA startup = {0};
    PROCESS_INFORMATION process;
    char self[MAX_PATH], command[2 * MAX_PATH];

    from_hex(arguments[4], security, sizeof security);
    event = CreateEventW((SECURITY_ATTRIBUTES *)security, FALSE, FALSE, NULL);
    report("inheritable event", event != NULL);
    CreatePipe(&gate_in, &gate_out, (SECURITY_ATTRIBUTES *)security, 0);
    SetHandleInformation(gate_out, HANDLE_FLAG_INHERIT, 0);

    GetModuleFileNameA(NULL, self, sizeof self);
    snprintf(command, sizeof command, "\"%s\" child %llu %s", self, (unsigned long long)(size_t)event, arguments[7]);
    startup.dwFlags = STARTF_USESTDHANDLES;
    startup.hStdInput = gate_in;
    startup.hStdOutput = startup.hStdError = GetStdHandle(STD_OUTPUT_HANDLE);
    report("process", start(command, strtoul(arguments[5], NULL, 10), &startup, &process));

    job = CreateJobObjectW(NULL, NULL);
    report("limits", SetInformationJobObject(job, JobObjectExtendedLimitInformation, limits, size));
    report("desktop restrictions", SetInformationJobObject(job, JobObjectBasicUIRestrictions, &rights, sizeof rights));
    report("assigned", AssignProcessToJobObject(job, process.hProcess));
    report("memory limit", SetInformationJobObject(job, JobObjectExtendedLimitInformation, with_memory, size_with_memory));

    WriteFile(gate_out, "g", 1, &written, NULL);
    SetEvent(event);
    if (getchar() == 'd')
        TerminateProcess(GetCurrentProcess(), 3);
    CloseHandle(job);
    report("ended with the job", WaitForSingleObject(process.hProcess, WAIT_MILLISECONDS) == WAIT_OBJECT_0);
    return 0;
}

int main(int count, char **arguments)
{
    if (count == 8 && !strcmp(arguments[1], "host"))
        return host(arguments);
    if (count == 4 && !strcmp(arguments[1], "child"))
        return child(arguments);
    return 0;
}
