"""Every odd image file becomes upright 8-bit pixels, or an error that names it."""

import io
import struct
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image

from ltlearn.exceptions import BadImageError
from ltlearn.images import read_image

RNG = np.random.default_rng(0)


@pytest.fixture
def photo():
    """A smooth image, (24, 32, 3), that JPEG changes little."""
    rows, columns = np.mgrid[0:24, 0:32]
    return np.stack([rows * 8, columns * 6, 255 - rows * 4], axis=2).astype(np.uint8)


def saved(image, path, **params):
    image.save(path, **params)
    return path


def test_rgb_is_read_as_it_is(photo, tmp_path):
    path = saved(Image.fromarray(photo), tmp_path / "a.png")
    image = read_image(path)
    assert image.mode == "RGB"
    np.testing.assert_array_equal(np.asarray(image), photo)


@pytest.mark.parametrize("content", [b"", b"not an image at all", b"\x89PNG\r\n\x1a\n" + bytes(30)])
def test_empty_and_corrupt(content, tmp_path):
    path = tmp_path / "broken.png"
    path.write_bytes(content)
    with pytest.raises(BadImageError, match=r"broken\.png"):
        read_image(path)


@pytest.mark.parametrize("suffix", ["jpg", "png", "gif", "webp", "bmp"])
def test_truncated(suffix, photo, tmp_path):
    path = saved(Image.fromarray(photo), tmp_path / f"cut.{suffix}")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(BadImageError, match=rf"cut\.{suffix}"):
        read_image(path)


@pytest.mark.parametrize("name", ["missing.jpg", ".", "a\0b.jpg", "\ud800.jpg"])
def test_what_is_not_a_file(name, tmp_path):
    with pytest.raises(BadImageError, match="cannot be read"):
        read_image(tmp_path / name)


@pytest.mark.parametrize("mode", ["CMYK", "YCbCr"])
def test_color_spaces_are_converted(mode, photo, tmp_path):
    path = saved(Image.fromarray(photo).convert(mode), tmp_path / "a.jpg", quality=100)
    difference = np.abs(np.asarray(read_image(path)).astype(int) - photo)
    assert difference.max() <= 12


def test_grey_is_repeated_or_kept(photo, tmp_path):
    path = saved(Image.fromarray(photo[..., 0]), tmp_path / "a.png")
    np.testing.assert_array_equal(np.asarray(read_image(path)), photo[..., [0, 0, 0]])
    grey = read_image(path, channels=1)
    assert grey.mode == "L"
    np.testing.assert_array_equal(np.asarray(grey), photo[..., 0])


def test_one_bit(tmp_path):
    bits = RNG.random((8, 8)) < 0.5
    path = saved(Image.fromarray(bits), tmp_path / "a.png")
    np.testing.assert_array_equal(np.asarray(read_image(path, channels=1)), bits * 255)


def test_palette(tmp_path):
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putdata([0, 1])
    path = saved(image, tmp_path / "a.png")
    assert np.asarray(read_image(path)).tolist() == [[[10, 20, 30], [200, 100, 50]]]


def test_transparent_palette_entry_is_white(tmp_path):
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putdata([0, 1])
    for name, transparency in (("index.png", 1), ("bytes.png", b"\xff\x00"), ("a.gif", 1)):
        path = saved(image, tmp_path / name, transparency=transparency)
        assert np.asarray(read_image(path)).tolist() == [[[10, 20, 30], [255, 255, 255]]]


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_alpha_is_laid_over_white(mode, tmp_path):
    channels = len(mode)
    pixels = RNG.integers(0, 256, (5, 7, channels), dtype=np.uint8)
    path = saved(Image.fromarray(pixels), tmp_path / "a.png")
    alpha = pixels[..., -1:] / 255
    color = pixels[..., :3] if mode == "RGBA" else pixels[..., :1].repeat(3, axis=2)
    expected = color * alpha + 255 * (1 - alpha)
    np.testing.assert_allclose(np.asarray(read_image(path)), expected, atol=1)


@pytest.mark.parametrize("suffix", ["png", "tif", "pgm"])
@pytest.mark.parametrize("channels", [1, 3])
def test_16_bit_is_scaled_not_clipped(suffix, channels, tmp_path):
    samples = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
    path = tmp_path / f"deep.{suffix}"
    if suffix == "pgm":
        path.write_bytes(b"P5 16 16 65535\n" + samples.astype(">u2").tobytes())
    else:
        saved(Image.fromarray(samples), path)
    pixels = np.asarray(read_image(path, channels=channels)).reshape(16, 16, channels)
    np.testing.assert_allclose(pixels, (samples / 257)[..., None].repeat(channels, 2), atol=0.51)


def test_16_bit_rgb_is_scaled(tmp_path):
    row = struct.pack(">BHHH", 0, 0, 0x8000, 0xFFFF)
    path = tmp_path / "deep.png"
    path.write_bytes(png(width=1, height=1, bits=16, color=2, rows=row))
    assert np.asarray(read_image(path)).tolist() == [[[0, 0x80, 0xFF]]]


@pytest.mark.parametrize("channels", [1, 3])
def test_transparent_16_bit_grey_is_white(channels, tmp_path):
    row = struct.pack(">BHHH", 0, 0, 257, 258)
    path = tmp_path / "deep.png"
    path.write_bytes(
        png(width=3, height=1, bits=16, color=0, rows=row, transparent=struct.pack(">H", 257))
    )
    pixels = np.asarray(read_image(path, channels=channels)).reshape(3, channels)
    assert pixels.tolist() == [[0] * channels, [255] * channels, [1] * channels]


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_pixels_of_unknown_range_are_refused(dtype, tmp_path):
    path = saved(Image.fromarray(np.ones((4, 4), dtype=dtype)), tmp_path / "deep.tif")
    with pytest.raises(BadImageError, match=r"deep\.tif.*no fixed range"):
        read_image(path)


@pytest.mark.parametrize(
    ("orientation", "upright"),
    [
        (1, lambda stored: stored),
        (2, lambda stored: stored[:, ::-1]),
        (3, lambda stored: stored[::-1, ::-1]),
        (4, lambda stored: stored[::-1]),
        (6, lambda stored: np.rot90(stored, -1)),
        (8, lambda stored: np.rot90(stored)),
    ],
)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_exif_orientation_is_applied(orientation, upright, dtype, tmp_path):
    stored = np.array([[0, 50, 100], [150, 200, 250]], dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    deep = stored.astype(dtype) * (257 if dtype == np.uint16 else 1)
    path = saved(Image.fromarray(deep.astype(dtype)), tmp_path / "turned.png", exif=exif)
    np.testing.assert_array_equal(np.asarray(read_image(path, channels=1)), upright(stored))


@pytest.mark.parametrize("exif", [b"garbage!", b"Exif\0\0garbage!"])
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
def test_damaged_exif_is_ignored(suffix, exif, photo, tmp_path):
    params = {"lossless": True} if suffix == "webp" else {}
    plain = saved(Image.fromarray(photo), tmp_path / f"plain.{suffix}", **params)
    damaged = saved(Image.fromarray(photo), tmp_path / f"damaged.{suffix}", exif=exif, **params)
    np.testing.assert_array_equal(np.asarray(read_image(damaged)), np.asarray(read_image(plain)))


@pytest.mark.parametrize("suffix", ["gif", "tif", "webp", "png"])
def test_first_frame_of_animations(suffix, tmp_path):
    frames = [Image.new("RGB", (8, 8), color) for color in ("white", "black")]
    path = tmp_path / f"a.{suffix}"
    frames[0].save(path, save_all=True, append_images=frames[1:])
    assert np.asarray(read_image(path)).min() == 255


@pytest.mark.parametrize("action", ["error", "ignore"])
@pytest.mark.parametrize("side", [10_000, 60_000])
def test_decompression_bomb(side, action, tmp_path):
    """Pillow only warns about up to twice its limit of 89 megapixels."""
    path = tmp_path / "bomb.png"
    path.write_bytes(png(width=side, height=side, bits=8, color=0, rows=bytes(100)))
    with warnings.catch_warnings():
        warnings.simplefilter(action)
        with pytest.raises(BadImageError, match=r"bomb\.png.*(limit|exceeds)"):
            read_image(path)


def test_the_users_size_limit_counts(photo, tmp_path, monkeypatch):
    path = saved(Image.fromarray(photo), tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 600)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        with pytest.raises(BadImageError, match="32 x 24 pixels"):
            read_image(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    assert read_image(path).size == (32, 24)


def test_out_of_memory_is_not_called_a_bad_image(photo, tmp_path, monkeypatch):
    path = saved(Image.fromarray(photo), tmp_path / "a.png")

    def exhausted(self):
        raise MemoryError

    monkeypatch.setattr(Image.Image, "load", exhausted)
    with pytest.raises(MemoryError):
        read_image(path)


def png(width, height, bits, color, rows, transparent=None):
    """A PNG file written by hand, so that it can declare anything."""

    def chunk(kind, content):
        checksum = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)

    file = io.BytesIO()
    file.write(b"\x89PNG\r\n\x1a\n")
    file.write(chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, color, 0, 0, 0)))
    if transparent is not None:
        file.write(chunk(b"tRNS", transparent))
    file.write(chunk(b"IDAT", zlib.compress(rows)))
    file.write(chunk(b"IEND", b""))
    return file.getvalue()
