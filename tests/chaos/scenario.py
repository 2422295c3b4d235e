# SPDX-License-Identifier: Apache-2.0
"""How a scenario gets its name."""

SCENARIOS = {}


class Skipped(Exception):
    """Why it cannot be played on this machine."""


class Scenario:
    def __init__(self, play, expects):
        self.play = play
        self.expects = expects


def scenario(function):
    """Its name is the function's, what it expects the docstring."""
    name = function.__name__.replace("_", "-")
    assert name not in SCENARIOS
    SCENARIOS[name] = Scenario(function, " ".join(function.__doc__.split()))
    return function
