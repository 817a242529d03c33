"""The ``lambda-autoscaler`` command.

Whatever goes wrong is one line on standard error and exit code 2. click and rich come with the extra ``cli``; without them the command
says how to get them.
"""

import io
import os
import sys

INTERRUPTED = 130


def main() -> None:
    """Entry point of the console script."""
    try:
        code = _run()
        sys.stdout.flush()
    except KeyboardInterrupt:  # while modules load; later the command itself knows what to do
        code = INTERRUPTED
    except BrokenPipeError:
        # The reader left, as in `plan | head`: nothing more to say, and no complaint from the interpreter's last flush.
        _drop_output()
        code = 0
    except OSError as fault:
        _drop_output()
        sys.stderr.write(f"lambda-autoscaler: {fault.filename or 'standard output'}: {fault.strerror}\n")
        code = 2
    sys.exit(code)


def _run() -> int:
    try:
        from lambda_autoscaler.cli.verbs import run  # noqa: PLC0415 - without the extra there is no click to import
    except ModuleNotFoundError as fault:
        return _without_extra(fault)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without ▲ and ✓ shows a question mark, not a traceback
    return run(sys.argv[1:])


def _drop_output() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _without_extra(fault: ModuleNotFoundError) -> int:
    if (fault.name or "").startswith("lambda_autoscaler"):
        raise fault
    sys.stderr.write(
        f"lambda-autoscaler: {fault.name} is not installed: pip install 'eks-autoscaling[cli]' brings what the command needs\n"
    )
    return 2


if __name__ == "__main__":
    main()
