# SPDX-License-Identifier: BSD-2-Clause
"""From fields to a booted guest, and a pool of guests that tests share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestration.base import doctor
from orchestration.base.cache import Cache
from orchestration.base.errors import InfrastructureError, MissingError, UsageError
from orchestration.base.rundir import RunDirectory
from orchestration.machine import boot as booting
from orchestration.machine import checks, kernel_tests, layers, snapshot
from orchestration.machine.description import Description
from orchestration.machine.progress import Progress
from quoll.guest import Guest

# Boots of one description after which a guest that is lost again and again is given up.
BOOTS = 4


def describe(fields: Mapping[str, Any], files: bool) -> Description:
    """Return the description of a machine; raise UsageError for a field or a value that is wrong.

    files: what is not given comes from quoll.toml of the current folder and of the user.
    """
    for name in fields:
        if name not in Description.model_fields:
            raise UsageError(f"a machine has no field '{name}'; valid: {', '.join(Description.model_fields)}")
    return layers.resolve(fields, None if files else ()).description


def ensure(description: Description, install: bool) -> None:
    """Raise MissingError that names the command for what this host lacks, or install that."""
    if install:
        doctor.ensure([description.target])
        return
    missing = doctor.missing_packages(doctor.wanted_packages([description.target]))
    if missing:
        raise MissingError(f"missing Debian packages: {' '.join(missing)}", f"run: {doctor.shown_command(missing)}")


def boot(description: Description, *, install: bool = False, quiet: bool = True, run: str = "python") -> Guest:
    """Build what has changed, boot it, and return the guest. run: a name of the run's folder."""
    checks.check(description)
    snapshot.check(description)
    ensure(description, install)
    doctor.check_space()
    progress = Progress(quiet)
    cache = Cache(say=progress.say)
    made = booting.artefacts(description, cache, progress)
    if description.accel == "kvm":
        kernel_tests.probe(description.target, made.bare)
    folder = RunDirectory(f"{run}-{description.arch}")
    session = snapshot.session_of(description, made, progress, folder, cache)
    guest = Guest(session, persistent=description.persist is not None)
    guest.session.open()
    return guest


class Pool:
    """Guests by description. Each is booted when it is first asked for, and again after it was lost."""

    def __init__(self, *, files: bool = True, install: bool = False, quiet: bool = True, run: str = "pytest") -> None:
        """Begin with none; the arguments are those of boot()."""
        self.files, self.install, self.quiet, self.run = files, install, quiet, run
        self.guests: dict[str, Guest] = {}
        self.boots: dict[str, int] = {}

    def get(self, **fields: Any) -> Guest:
        """Return the guest of a description that lives; it is shared with whoever asks for the same."""
        description = describe(fields, self.files)
        key = description.model_dump_json()
        if key in self.guests and not self.guests[key].alive:
            self.close(key)
        if key not in self.guests:
            if self.boots.get(key, 0) >= BOOTS:
                raise InfrastructureError(f"this guest was lost {BOOTS} times; it is not booted again")
            self.boots[key] = self.boots.get(key, 0) + 1
            self.guests[key] = self.fresh(description)
        return self.guests[key]

    def fresh(self, description: Description) -> Guest:
        """Boot a guest that is the caller's alone, who closes it."""
        return boot(description, install=self.install, quiet=self.quiet, run=self.run)

    def key(self, fields: Mapping[str, Any]) -> str:
        """Return what is the same for all fields that describe the same machine."""
        return describe(fields, self.files).model_dump_json()

    def close(self, key: str) -> None:
        """End the guest of a key, if it runs."""
        guest = self.guests.pop(key, None)
        if guest is not None:
            guest.close(guest.session.lost_reason)

    def close_all(self) -> None:
        """End all guests."""
        for key in list(self.guests):
            self.close(key)
