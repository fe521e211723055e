"""The file of the mailstore's file systems in a folder of another user: it is neither waited for nor a way out."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mailquota.core.base.mounts import Mount
from mailquota.core.mailboxes.file_systems import FileSystem
from mailquota.core.mailboxes.mailstore_memory import NAME, MailstoreMemory
from tests.core.others import OWNER, as_root, do

TEMPLATE = "/var/vmail/{domain}/{user}/Maildir"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Of that user."""
    for each in [tmp_path, *tmp_path.parents][:3]:
        each.chmod(0o755)
    made = tmp_path / "state"
    made.mkdir()
    if os.geteuid() == 0:
        os.chown(made, OWNER, OWNER)
    return made


def test_a_pipe_is_not_waited_for(folder: Path) -> None:
    """An engine that starts would hang."""
    os.mkfifo(folder / NAME)
    assert MailstoreMemory(str(folder / NAME), TEMPLATE).read() == []


@as_root
def test_a_link_is_neither_read_nor_written(folder: Path, tmp_path: Path) -> None:
    """It is replaced, by a file of the folder's owner."""
    known = [FileSystem(Mount("/var/vmail", "ext4", "/dev/sdb1"), {"john@example.org": 1})]
    secret = tmp_path / "secret"
    MailstoreMemory(str(secret), TEMPLATE).write(known)
    before = secret.read_bytes()
    do(OWNER, "ln", "-s", secret, folder / NAME)
    memory = MailstoreMemory(str(folder / NAME), TEMPLATE)
    assert memory.read() == []
    memory.write(known)
    assert secret.read_bytes() == before
    assert not (folder / NAME).is_symlink()
    assert (folder / NAME).stat().st_uid == OWNER
    assert os.listdir(folder) == [NAME]
