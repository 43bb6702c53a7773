"""Files and folders of the service: owners, modes and errors."""

import errno
import os
import pwd
from pathlib import Path

_FORBIDDEN = {errno.EACCES, errno.EPERM}


def make_folder(folder: Path) -> None:
    """Create a missing folder with mode 0700.

    Missing parents get ordinary modes. A folder that root creates belongs to the owner of its
    parent, so a command that root has run leaves nothing unusable to the user of the service.
    """
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except FileExistsError:
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), folder) from None
    for each in reversed(missing):
        descriptor = os.open(each, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            _give_to_owner(each.parent, descriptor)
        finally:
            os.close(descriptor)


def make_file(path: Path, flags: int = os.O_RDWR) -> int:
    """Open a file, or create it for its owner only.

    Returns its descriptor. The owner is the one that `make_folder` describes.
    """
    itself = Path(os.path.realpath(path))  # which a link may lead to
    try:
        descriptor = os.open(itself, flags | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return os.open(itself, flags | os.O_CLOEXEC)
    _give_to_owner(itself.parent, descriptor)
    return descriptor


def make_like(path: Path, draft: Path) -> int:
    """Create a file that will replace another; return its descriptor.

    It gets the owner, group and mode of the other file. Without another file, it is created as by
    `make_file`. Raises `PermissionError` if this process may not set that owner; no file is left
    then.
    """
    try:
        like = path.stat()
    except FileNotFoundError:
        return make_file(draft, os.O_WRONLY)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        made = os.fstat(descriptor)
        if (made.st_uid, made.st_gid) != (like.st_uid, like.st_gid):
            os.fchown(descriptor, like.st_uid, like.st_gid)
        os.fchmod(descriptor, like.st_mode & 0o777)
    except OSError:
        os.close(descriptor)
        draft.unlink()
        raise
    return descriptor


def is_file(path: Path) -> bool:
    """Report whether a file exists. Raises `PermissionError` if that is unknown."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return path.is_file()


def reason(error: OSError, path: Path) -> str:
    """Describe an error of the system, with owner and mode if relevant."""
    said = error.strerror or str(error)
    if error.errno == errno.ENOENT and not path.parent.exists():
        said = f"there is no folder {path.parent}"
    if error.errno in _FORBIDDEN:
        said += f"; {read_permissions(find_obstacle(path) or path)}"
    return said


def find_obstacle(*paths: Path) -> Path | None:
    """Return the path whose permissions prevent reading or writing these files.

    It is a parent folder, one of the files, or the folder where one would be made. A read-only file
    system is no matter of permissions.
    """
    folder = paths[0].absolute().parent
    for each in reversed((folder, *folder.parents)):
        if _is_forbidden(each, os.X_OK):
            return each
    for path in paths:
        if _is_forbidden(path, os.R_OK) or _is_forbidden(path, os.W_OK):
            return path
    nearest = next(each for each in (folder, *folder.parents) if each.exists())
    return nearest if _is_forbidden(nearest, os.W_OK) else None


def read_permissions(path: Path) -> str:
    """Describe the owner and mode of a path, and the current user."""
    try:
        status = path.stat()
    except OSError:  # it is gone, or in a folder that cannot be searched
        return f"this process runs as {name_user(os.geteuid())}"
    kept = f"{path} is owned by {name_user(status.st_uid)} with mode {status.st_mode & 0o7777:04o}"
    return f"{kept}; this process runs as {name_user(os.geteuid())}"


def _is_forbidden(path: Path, mode: int) -> bool:
    if not path.exists() or os.access(path, mode):
        return False
    return not (mode == os.W_OK and os.statvfs(path).f_flag & os.ST_RDONLY)


def _give_to_owner(folder: Path, descriptor: int) -> None:
    if os.geteuid() == 0:
        owner = folder.stat()
        os.fchown(descriptor, owner.st_uid, owner.st_gid)


def name_user(user: int) -> str:
    """Return the name of a user, or its number."""
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return f"user {user}"
