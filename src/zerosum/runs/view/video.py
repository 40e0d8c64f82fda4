"""Moving pictures as .mp4, by the program ffmpeg where it is found."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from zerosum.core.errors import RunError
from zerosum.runs.storage.outputs import MARK
from zerosum.runs.view.animation import PAUSE
from zerosum.runs.view.pictures import enlarge, to_pillow

Array = np.ndarray
CODECS = (  # some builds of ffmpeg come without the first
    ("libx264", "-crf", "15"),
    ("mpeg4", "-q:v", "2"),
)


def find() -> str:
    """Where ffmpeg is.

    Raises:
        RunError: it is not installed.
    """
    program = shutil.which("ffmpeg")
    if program is None:
        raise RunError(
            ".mp4 is written by the program ffmpeg, which is not found; install it, or use FILE.webp, FILE.apng or "
            "FILE.gif"
        )
    return program


def encode(images: Array) -> bytes:
    """Bytes of an .mp4 of uint8 images `[F, H, W, C]`: 25 frames a second, in colours that every player shows.

    These need even sides (yuv420p), so an odd one is made longer by its last pixels.

    Raises:
        RunError: there is no ffmpeg, or it fails.
    """
    colours = [np.asarray(to_pillow(one).convert("RGB")) for one in enlarge(images, 256)]
    program, frames = find(), _even(np.stack(colours))
    height, width = frames.shape[1:3]
    source = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", str(1000 // PAUSE), "-i", "-"]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "out.mp4"
        for codec, *quality in CODECS:
            into = ["-c:v", codec, *quality, "-pix_fmt", "yuv420p", "-metadata", f"comment={MARK.decode()}", str(path)]
            command = [program, "-nostdin", "-v", "error", "-y", *source, *into]
            done = subprocess.run(command, input=frames.tobytes(), capture_output=True, check=False)
            if done.returncode == 0:
                return path.read_bytes()
    why = done.stderr.decode(errors="replace").strip().splitlines() or [f"exit status {done.returncode}"]
    raise RunError(f"ffmpeg cannot write .mp4 here ({why[-1]}); use FILE.webp, FILE.apng or FILE.gif")


def _even(frames: Array) -> Array:
    height, width = frames.shape[1:3]
    return np.pad(frames, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), mode="edge")
