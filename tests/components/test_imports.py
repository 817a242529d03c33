"""The package as other programs meet it."""

import os
import subprocess
import sys
from pathlib import Path

from tests.components.programs import folder_with


def test_a_program_with_a_components_package_of_its_own_imports_ours(tmp_path: Path) -> None:
    program = "import components.theirs, eks_autoscaling; print(components.theirs.HERE, eks_autoscaling.Cluster.__module__)"
    folder = folder_with({"components/__init__.py": "", "components/theirs.py": "HERE = 'theirs'", "main.py": program}, tmp_path)
    # The installed package must do: no help from this repository's folder.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run([sys.executable, "main.py"], cwd=folder, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["theirs", "eks_autoscaling.cluster"]


WITHOUT_PULUMI = "import sys; sys.modules.update(dict.fromkeys(('pulumi', 'pulumi_aws', 'pulumi_kubernetes')))\n"


def test_without_pulumi_there_is_the_catalogue_and_a_component_says_what_it_needs() -> None:
    program = "from eks_autoscaling import catalogue; print('m5.large' in catalogue.instance_types()); import eks_autoscaling\n"
    tries = "try: eks_autoscaling.Cluster\nexcept ModuleNotFoundError as fault: print(fault)\nprint(hasattr(eks_autoscaling, 'Clutser'))"
    command = [sys.executable, "-c", WITHOUT_PULUMI + program + tries]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    needs = "eks_autoscaling.Cluster needs Pulumi, which is not installed: install eks-autoscaling with its dependencies"
    assert done.stdout.splitlines() == ["True", needs, "False"]


def test_importing_a_component_does_not_import_the_function() -> None:
    program = "import sys, eks_autoscaling; print([name for name in sys.modules if name.startswith('lambda_autoscaler')])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
