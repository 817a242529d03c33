"""The project's commands, for a machine that has Python and pip and nothing else.

    python3 tasks.py demo [ARGUMENTS]     play the tutorial on a simulated cluster, or on real
                                          parts (needs Go) with --real-control-plane
    python3 tasks.py test [ARGUMENTS]     run every test; arguments go to pytest
    python3 tasks.py check                lint, format, types, layers
    python3 tasks.py lock                 lock the dependencies again
    python3 tasks.py bundle [ARGUMENTS]   build the Lambda's zip

Standard library only. What a task needs is installed from ``uv.lock`` into ``.venv`` by uv: the one on
PATH, or a private copy of a fixed version in the user's cache folder. The demo leaves Pulumi out: the
components need those 200 MB, the autoscaler does not.

The file must parse on old Pythons so that they get a sentence rather than a SyntaxError; hence the
quoted annotations and the imports inside functions.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
ENVIRONMENT = ROOT / ".venv"
OLDEST_PYTHON = (3, 11)
CANDIDATES = ("python3.13", "python3.12", "python3.11", "python3.14")
UV_VERSION = "0.13.9"
OLDEST_UV = (0, 13, 0)
TYPED_PACKAGES = ("lambda_autoscaler", "eks_autoscaling", "tests.cluster")
REQUIREMENTS = ROOT / "lambda_autoscaler" / "requirements.txt"
REAL = "--real-control-plane"
REQUIREMENTS_HEADER = "# The Lambda's dependencies as uv.lock has them; written by `python3 tasks.py lock`.\n"


class TaskError(Exception):
    """A task cannot go on; the text says what to do about it."""


def say(text: str) -> None:
    """Print one line of progress at once, on standard error: standard output belongs to the task."""
    print(f"tasks: {text}", file=sys.stderr, flush=True)


def run(command: "list[str]", variables: "dict[str, str] | None" = None, **options: object) -> "subprocess.CompletedProcess[str]":
    """Run a command from the root, with more environment variables; raise TaskError when it fails."""
    environment = {**os.environ, **(variables or {}), "UV_PYTHON_DOWNLOADS": "never", "UV_PROJECT_ENVIRONMENT": str(ENVIRONMENT)}
    environment.pop("VIRTUAL_ENV", None)
    environment.setdefault("UV_HTTP_TIMEOUT", "180")
    # Either of the first two, in a user's configuration, would refuse pip's --target.
    environment.update(PIP_USER="0", PIP_REQUIRE_VIRTUALENV="0", PIP_ROOT_USER_ACTION="ignore")
    done = subprocess.run(command, cwd=ROOT, env=environment, text=True, check=False, **options)  # type: ignore[call-overload]
    if done.returncode:
        raise TaskError(f"this command failed with exit code {done.returncode}: {' '.join(command)}")
    return done  # type: ignore[no-any-return]


def become(program: Path, arguments: "list[str]") -> "int":
    """Replace this process by the program, so that signals and the exit code are its own."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.chdir(ROOT)
    os.execv(str(program), [str(program), *arguments])  # noqa: S606 - replacing the process is the point


# --- Python ---------------------------------------------------------------------------------------------


def require_python() -> None:
    """Go on under a Python that is new enough: this one, or one found on PATH."""
    if sys.version_info[:2] >= OLDEST_PYTHON:
        return
    for name in CANDIDATES:
        found = shutil.which(name)
        # A version manager's shim may stand on PATH for a Python that is not there: ask it.
        if found and subprocess.call([found, "-c", ""], stderr=subprocess.DEVNULL) == 0:
            os.execv(found, [found, str(Path(__file__).resolve()), *sys.argv[1:]])  # noqa: S606
    running = ".".join(str(part) for part in sys.version_info[:3])
    raise TaskError(f"Python 3.11 or newer is needed; this is {running}, and none newer is on PATH")


# --- uv -------------------------------------------------------------------------------------------------


def uv() -> str:
    """Return a uv that can read the lock, installing a private one on first use."""
    on_path = shutil.which("uv")
    if on_path and is_recent(on_path):
        return on_path
    home = cache_folder() / f"uv-{UV_VERSION}"
    private = home / "bin" / "uv"
    if not private.is_file():
        say(f"installing uv {UV_VERSION} into {home} (once)")
        install_uv(home)
    return str(private)


def cache_folder() -> Path:
    """Return the folder that holds what is built or fetched once per user."""
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(cache) / "eks-autoscaling"


def is_recent(program: str) -> bool:
    """Tell whether this uv reads the lock file's format."""
    answer = subprocess.run([program, "--version"], stdout=subprocess.PIPE, text=True, check=False).stdout
    version = re.search(r"(\d+)\.(\d+)\.(\d+)", answer)
    return version is not None and tuple(int(part) for part in version.groups()) >= OLDEST_UV


def install_uv(home: Path) -> None:
    """Install the pinned uv with this Python's pip, or with a virtual environment's where there is no pip."""
    wanted = f"uv=={UV_VERSION}"
    quiet = ["install", "--quiet", "--disable-pip-version-check", "--no-input"]
    try:
        if subprocess.call([sys.executable, "-m", "pip", "--version"], stdout=subprocess.DEVNULL) == 0:
            # A target of its own is allowed on externally managed Pythons too, and wants no ensurepip.
            run([sys.executable, "-m", "pip", *quiet, "--upgrade", "--target", str(home), wanted])
        else:
            run([sys.executable, "-m", "venv", str(home)])
            run([str(home / "bin" / "python"), "-m", "pip", *quiet, wanted])
    except TaskError as error:
        shutil.rmtree(home, ignore_errors=True)
        raise TaskError(f"uv could not be installed: {error}") from error


# --- The environment ------------------------------------------------------------------------------------


def dependencies_without(extra: str) -> "list[str]":
    """Return the names that a plain install brings and that this extra does not ask for: the Pulumi half."""
    import tomllib  # noqa: PLC0415 - newer than the Pythons that must be able to parse this file

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    base, wanted_too = (
        [re.split(r"[^A-Za-z0-9._-]", wanted, maxsplit=1)[0] for wanted in names]
        for names in (project["dependencies"], project["optional-dependencies"][extra])
    )
    return [name for name in base if name not in wanted_too]


def export(extra: str) -> str:
    """Return the locked requirements of one extra, with hashes and without the Pulumi half."""
    pruned = [option for name in dependencies_without(extra) for option in ("--prune", name)]
    command = [uv(), "export", "--quiet", "--frozen", "--no-default-groups", "--no-emit-project", "--no-header"]
    return run([*command, "--extra", extra, *pruned], stdout=subprocess.PIPE).stdout


def install_command() -> None:
    """Put the lambda-autoscaler command and its dependencies into the environment; take nothing out."""
    if not (ENVIRONMENT / "bin" / "python").exists():
        say(f"creating {ENVIRONMENT.name}")
        run([uv(), "venv", "--quiet", "--python", sys.executable, str(ENVIRONMENT)])
    say("installing the lambda-autoscaler command from uv.lock")
    pip = [uv(), "pip", "install", "--quiet", "--python", str(ENVIRONMENT)]
    run([*pip, "--require-hashes", "--no-deps", "--requirements", "-"], input=export("cli"))
    run([*pip, "--no-deps", "--editable", str(ROOT)])


def install_everything() -> None:
    """Make the environment exactly what the lock says, with every extra and group."""
    say("installing everything from uv.lock (Pulumi included: some 300 MB the first time)")
    interpreter = [] if (ENVIRONMENT / "bin" / "python").exists() else ["--python", sys.executable]
    run([uv(), "sync", "--quiet", "--frozen", "--all-extras", *interpreter])


# --- Tasks ----------------------------------------------------------------------------------------------


def demo(arguments: "list[str]") -> int:
    """Play the tutorial: its spot node group grows from 2 to 7."""
    if REAL in arguments:
        install_everything()
        return become(ENVIRONMENT / "bin" / "python", ["-m", "tests.cluster.demo", *(word for word in arguments if word != REAL)])
    install_command()
    return become(ENVIRONMENT / "bin" / "lambda-autoscaler", ["demo", *arguments])


def test(arguments: "list[str]") -> int:
    """Run the tests of every tier; arguments go to pytest."""
    install_everything()
    say("running the tests")
    return become(ENVIRONMENT / "bin" / "python", ["-m", "pytest", *arguments])


def check(_: "list[str]") -> int:
    """Lint, check format, types and layers; run all of them, then fail if one did."""
    install_everything()
    packages = [option for name in TYPED_PACKAGES for option in ("-p", name)]
    checks: list[tuple[str, list[str], dict[str, str]]] = [
        ("lint", ["ruff", "check", "--quiet"], {}),
        ("format", ["ruff", "format", "--check", "--quiet"], {}),
        ("types", ["mypy", *packages, "-m", "tasks"], {}),
        ("layers", ["lint-imports"], {}),
    ]
    for program in sorted(ROOT.glob("stacks/*/__main__.py")):
        # A stack is a program of its own, whose folder Pulumi puts on the path.
        folder = str(program.parent.relative_to(ROOT))
        checks.append((f"types of {folder}", ["mypy", folder], {"MYPYPATH": folder}))
    failed = []
    for title, command, variables in checks:
        say(f"checking {title}")
        try:
            run([str(ENVIRONMENT / "bin" / command[0]), *command[1:]], variables)
        except TaskError:
            failed.append(title)
    if failed:
        raise TaskError(f"not clean: {', '.join(failed)}")
    return 0


def lock(_: "list[str]") -> int:
    """Lock the dependencies again, keeping what still fits, and write the Lambda's requirements from the lock."""
    run([uv(), "lock"])
    REQUIREMENTS.write_text(REQUIREMENTS_HEADER + export("lambda"))
    say(f"wrote {REQUIREMENTS.relative_to(ROOT)}")
    return 0


def bundle(arguments: "list[str]") -> int:
    """Build the Lambda's zip as a stack would upload it, and print its path."""
    os.environ["PATH"] = os.pathsep.join([str(Path(uv()).parent), os.environ.get("PATH", "")])
    os.environ["PYTHONPATH"] = str(ROOT)
    # As a file: the package itself imports Pulumi, which building the zip does not need.
    return become(Path(sys.executable), ["-P", str(ROOT / "components" / "eks_autoscaling" / "bundle.py"), *arguments])


TASKS = {task.__name__: task for task in (demo, test, check, lock, bundle)}
WITHOUT_ARGUMENTS = (check, lock)
HELP = ("-h", "--help", "help")


def main(arguments: "list[str]") -> int:
    """Run the task named first."""
    if not arguments or arguments[0] not in TASKS:
        print(__doc__.split("\n\nStandard", maxsplit=1)[0])
        return 0 if arguments and arguments[0] in HELP else 2
    if os.name != "posix":
        raise TaskError("these tasks need Linux or macOS; on Windows run them inside WSL")
    task, words = TASKS[arguments[0]], arguments[1:]
    if task in WITHOUT_ARGUMENTS and words:
        if words[0] in HELP:
            print(task.__doc__)
            return 0
        raise TaskError(f"{task.__name__} takes no arguments: {' '.join(words)}")
    require_python()
    return task(words)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except TaskError as error:
        say(f"error: {error}")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
