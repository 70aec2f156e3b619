# SPDX-License-Identifier: BSD-2-Clause
"""The key pairs of one run: the guest's, which the client expects and nothing else, and the client's."""

from __future__ import annotations

import io
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

if TYPE_CHECKING:
    from paramiko.ed25519key import Ed25519Key


def openssh_form(key: Ed25519PrivateKey) -> bytes:
    """Return the key as OpenSSH stores it."""
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH,
                             serialization.NoEncryption())


def public_line(key: Ed25519PrivateKey) -> str:
    """Return type and public half of a key, as OpenSSH writes it."""
    return key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH).decode()


def paramiko_key(stored: bytes) -> Ed25519Key:
    """Return a key that OpenSSH has stored in the client library's form.

    The library is loaded here, and not before: while it is, the guest can start (ssh.load()).
    """
    from paramiko.ed25519key import Ed25519Key

    return Ed25519Key(file_obj=io.StringIO(stored.decode()))


def dropbear_form(key: Ed25519PrivateKey) -> bytes:
    """Return the key as dropbear stores it: name, then private and public half as one string."""
    private = key.private_bytes_raw()
    public = key.public_key().public_bytes_raw()
    name = b"ssh-ed25519"
    return struct.pack(">I", len(name)) + name + struct.pack(">I", 64) + private + public


@dataclass(frozen=True)
class RunKeys:
    """Keys made for one run; they are stored on that run's disk and, while it runs, beside its sockets."""

    host_files: Mapping[bool, bytes]
    """The private half of the guest's key as OpenSSH's server reads it (True), and as dropbear does."""
    host_line: str
    """Type and public half of the guest's key."""
    client_file: bytes
    """The client's key, as OpenSSH stores it."""
    client_line: str
    """The line of authorized_keys."""

    @cached_property
    def host(self) -> Ed25519Key:
        """Return the guest's key in the client library's form."""
        return paramiko_key(self.host_files[True])

    @cached_property
    def client(self) -> Ed25519Key:
        """Return the client's key in the client library's form."""
        return paramiko_key(self.client_file)


def make() -> RunKeys:
    """Make both pairs."""
    host, client = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    files = {True: openssh_form(host), False: dropbear_form(host)}
    return RunKeys(files, public_line(host), openssh_form(client), public_line(client))
