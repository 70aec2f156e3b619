# SPDX-License-Identifier: BSD-2-Clause
"""The key pairs of one run: the guest's, which the client expects and nothing else, and the client's."""

from __future__ import annotations

import io
import struct
from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from paramiko.ed25519key import Ed25519Key


def openssh_form(key: Ed25519PrivateKey) -> bytes:
    """Return the key as OpenSSH stores it."""
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH,
                             serialization.NoEncryption())


def paramiko_key(key: Ed25519PrivateKey) -> Ed25519Key:
    """Return the key in the client library's form."""
    return Ed25519Key(file_obj=io.StringIO(openssh_form(key).decode()))


def dropbear_form(key: Ed25519PrivateKey) -> bytes:
    """Return the key as dropbear stores it: name, then private and public half as one string."""
    private = key.private_bytes_raw()
    public = key.public_key().public_bytes_raw()
    name = b"ssh-ed25519"
    return struct.pack(">I", len(name)) + name + struct.pack(">I", 64) + private + public


@dataclass(frozen=True)
class RunKeys:
    """Keys made for one run; they are stored on that run's disk and, while it runs, beside its sockets."""

    host: Ed25519Key
    host_files: Mapping[bool, bytes]
    """The private half as OpenSSH's server reads it (True), and as dropbear does."""
    client: Ed25519Key
    client_file: bytes

    @property
    def host_line(self) -> str:
        """Return type and public half of the guest's key."""
        return f"{self.host.get_name()} {self.host.get_base64()}"

    @property
    def client_line(self) -> str:
        """Return the line of authorized_keys."""
        return f"{self.client.get_name()} {self.client.get_base64()}"


def make() -> RunKeys:
    """Make both pairs."""
    host, client = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    files = {True: openssh_form(host), False: dropbear_form(host)}
    return RunKeys(paramiko_key(host), files, paramiko_key(client), openssh_form(client))
