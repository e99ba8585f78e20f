"""Common raster formats are opened, and nothing that makes Pillow start another program."""

import io
import os

import numpy as np
import pytest
from PIL import EpsImagePlugin, Image

from ltlearn.curation import __main__ as curation_main
from ltlearn.exceptions import BadImageError
from ltlearn.images import find_bad_images, read_image
from ltlearn.images._decode import decode_image, raster_formats

POSTSCRIPT = b"""%!PS-Adobe-3.0 EPSF-3.0
%%BoundingBox: 0 0 8 8
%%EndComments
0 0 8 8 rectfill
showpage
%%EOF
"""


@pytest.fixture
def started(tmp_path, monkeypatch):
    """A stand-in for Ghostscript; the file that it leaves when it is started."""
    mark = tmp_path / "started"
    program = tmp_path / "bin" / "gs"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ntouch {mark}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", None)
    return mark


@pytest.mark.parametrize("name", ["x.jpg", "x.eps", "x"])
def test_postscript_is_never_run(name, tmp_path, started):
    path = tmp_path / name
    path.write_bytes(POSTSCRIPT)
    with pytest.raises(BadImageError, match=rf"{name} is in no image format that is opened; .*PNG"):
        read_image(path)
    assert find_bad_images([path])
    assert curation_main._is_image(path) == (path.suffix == ".jpg")  # it has the name of one
    assert not started.exists()


def test_pillow_alone_would_run_it(tmp_path, started):
    """The trap of the test above works."""
    path = tmp_path / "x.jpg"
    path.write_bytes(POSTSCRIPT)
    with Image.open(path) as image, pytest.raises(OSError, match=r"\w"):
        image.load()
    assert started.exists()


@pytest.mark.parametrize("name", raster_formats())
def test_raster_formats(name, tmp_path):
    if name not in Image.SAVE:
        pytest.skip(f"this Pillow cannot write {name}")
    square = np.zeros((16, 16, 3), np.uint8)
    square[4:12, 4:12] = 250
    path = tmp_path / "square"
    Image.fromarray(square).save(path, name)
    difference = np.abs(np.asarray(read_image(path)).astype(int) - square)
    assert difference.max() < 60  # some of them lose a little at edges
    assert difference.mean() < 3


@pytest.mark.parametrize("name", ["PDF", "EPS", "SPIDER"])
def test_other_formats_are_refused(name):
    data = io.BytesIO()
    image = Image.new("L", (8, 8)) if name != "SPIDER" else Image.new("F", (8, 8))
    image.save(data, name)
    with pytest.raises(BadImageError, match="upload 7 is in no image format"):
        decode_image(data.getvalue(), "upload 7")
