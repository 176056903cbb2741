"""File systems that can be copied while they are written to, as a power cut would leave them."""

import contextlib
import os
import subprocess
import time

MIB = 1 << 20


class Disks:
    """An ext4 file system for each daemon, mounted at `folder`/NAME. Their images are files on XFS, which copies a file atomically."""

    # The second options let a file be empty that is renamed before it is flushed.
    OPTIONS = ["loop", "loop,noauto_da_alloc,data=writeback"]

    def __init__(self, folder):
        self.folder, self.images, self.names, self.mounted = folder, folder / "images", [], []

    def create(self, names):
        """Creates the file systems and mounts them."""
        self.names = names
        make_image(self.folder / "xfs.img", 8192 * MIB, "mkfs.xfs", "-q", "-m", "reflink=1")
        self.mount("loop", self.folder / "xfs.img", self.images)
        for name in names:
            make_image(self.image(name), 1024 * MIB, "mkfs.ext4", "-q", "-m", "0")
        self.mount_all(self.OPTIONS[0])

    def image(self, name):
        return self.images / f"{name}.img"

    def mount(self, options, image, folder):
        folder.mkdir(exist_ok=True)
        run("mount", "-o", options, image, folder)
        self.mounted.append(folder)

    def mount_all(self, options):
        for name in self.names:
            self.mount(options, self.image(name), self.folder / name)

    def copy(self, name):
        run("cp", "--reflink=always", self.image(name), self.images / f"{name}.copy")

    def replace_by_copies(self, options):
        """Mounts the copies, which replays their journals, in place of the file systems."""
        for name in self.names:
            self.unmount(self.folder / name)
            os.replace(self.images / f"{name}.copy", self.image(name))
        self.mount_all(options)

    def fill(self, name):
        """Leaves a few blocks free, less than a push needs."""
        space = os.statvfs(self.folder / name)
        with open(self.folder / name / "filler", "wb") as file:
            # If the daemon has taken some of the space meanwhile, there is nothing left.
            with contextlib.suppress(OSError):
                os.posix_fallocate(file.fileno(), 0, max(1, space.f_bavail - 8) * space.f_frsize)

    def make_room(self, name):
        (self.folder / name / "filler").unlink(missing_ok=True)

    def unmount(self, folder):
        # The kernel may still close files of a process that was killed.
        for _ in range(200):
            if subprocess.run(["umount", folder], capture_output=True).returncode == 0:
                break
            time.sleep(0.05)
        else:
            raise SystemExit(f"failed to unmount {folder}")
        self.mounted.remove(folder)

    def close(self):
        for folder in reversed(self.mounted[:]):
            self.unmount(folder)


def make_image(image, size, *mkfs):
    with open(image, "wb") as file:
        file.truncate(size)
    run(*mkfs, image)


def run(*command):
    subprocess.run([str(word) for word in command], check=True)
