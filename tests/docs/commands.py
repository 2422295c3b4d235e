# SPDX-License-Identifier: Apache-2.0
"""The commands in the documentation: the lines of its blocks of shell."""
import os
import re

SHELL = ("sh", "console", "")
FENCE = re.compile(r"^ *```(\w*)$")


class Block:
    """Commands that stand together, as a reader would copy them."""

    def __init__(self, page, line, language, text):
        self.page = page
        self.line = line
        self.language = language
        self.text = text

    def where(self):
        return f"{self.page}:{self.line}"

    def commands(self):
        """Each with its continuation lines; what is shown of their output, and
        blocks of another kind, are none."""
        if self.language not in SHELL:
            return []
        prompt = any(line.startswith("$ ") for line in self.text)
        if not prompt and self.language != "sh":
            return []
        found = []
        more = False
        for line in self.text:
            if more:
                found[-1] += "\n" + line
            elif not prompt or line.startswith("$ "):
                found.append(line.removeprefix("$ "))
            else:
                continue
            more = line.rstrip().endswith("\\")
        return [command for command in found
                if command.strip() and not command.lstrip().startswith("#")]


def blocks_of(source, page):
    with open(os.path.join(source, page), encoding="utf-8") as file:
        lines = file.read().split("\n")
    found = []
    block = None
    for number, line in enumerate(lines, 1):
        fence = FENCE.match(line)
        if fence is None:
            if block is not None:
                block.text.append(line[block.indent:])
        elif block is None:
            block = Block(page, number, fence[1], [])
            block.indent = len(line) - len(line.lstrip())
        else:
            found.append(block)
            block = None
    if block is not None:
        raise AssertionError(f"{block.where()}: the block has no end")
    return found


def pages(source):
    return ["README.md"] + sorted(
        f"docs/{name}" for name in os.listdir(os.path.join(source, "docs"))
        if name.endswith(".md"))


def without_comment(command):
    """A command's first line without the explanation behind it."""
    return re.sub(r"\s+# .*", "", command.split("\n")[0]).strip()
