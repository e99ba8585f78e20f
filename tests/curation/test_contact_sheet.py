import base64
import io
import re
from html.parser import HTMLParser

import pytest
from PIL import Image

from ltlearn.curation import Candidate, Verdict, write_contact_sheet
from ltlearn.curation._manifest import make_rows


class Page(HTMLParser):
    """Tags that a browser would see."""

    def __init__(self, text):
        super().__init__()
        self.tags = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def all(self, name):
        return [attrs for tag, attrs in self.tags if tag == name]


@pytest.fixture
def sheet(tmp_path, pictures):
    """Writes a sheet of images that were kept or not, and returns its text."""

    def write(entries, **options):
        candidates, verdicts = [], []
        for i, (name, keep, similarity, reason) in enumerate(entries):
            path = None
            if similarity is not None:
                path = str(tmp_path / f"{i}.png")
                size = (300, 40) if i % 2 else (20, 20)
                Image.fromarray(pictures.make((i, 99, 9), size=size)).save(path)
            candidates.append(Candidate(name, f"source {i}", path, "" if path else reason))
            near = ("otter",) if keep else ()
            verdicts.append(Verdict(keep, reason, "otter" if path else "", similarity, near))
        rows = make_rows(candidates, verdicts, [], tmp_path)
        return write_contact_sheet(tmp_path, rows, **options).read_text(encoding="utf-8")

    return write


def test_every_candidate_is_shown_with_its_reason(sheet):
    text = sheet(
        [
            ("mink", True, 0.9, "near otter"),
            ("mink", False, 0.3, "not near otter: below 0.500"),
            ("mink", False, None, "cannot be decoded"),
            ("beaver", True, 0.8, "near otter"),
        ]
    )
    page = Page(text)
    assert [attrs["class"] for attrs in page.all("figure")] == ["keep", "keep", "reject", "reject"]
    assert [attrs["title"] for attrs in page.all("figure")] == [
        "source 3",
        "source 0",
        "source 1",
        "source 2",
    ]
    assert len(page.all("img")) == 3
    assert "no image" in text
    for part in ("2 of 4 candidates", "2 auxiliary classes", "below 0.500", "cannot be decoded"):
        assert part in text
    assert "Neighbor of otter." in text
    assert [attrs["href"] for attrs in page.all("a")] == ["#class0", "#class1"]
    assert [attrs["id"] for attrs in page.all("section")] == ["class0", "class1"]


def test_the_least_certain_come_first_and_the_rest_is_counted(sheet):
    entries = [("mink", True, s, "near otter") for s in (0.9, 0.7, 0.8)]
    entries += [("mink", False, s, "not near otter") for s in (0.1, 0.3, 0.2)]
    text = sheet(entries, max_images=2)
    assert re.findall(r"0\.\d{4}", text) == ["0.7000", "0.8000", "0.3000", "0.2000"]
    assert "Kept: 3, 1 of them not shown" in text
    assert "Rejected: 3, 1 of them not shown" in text


def test_thumbnails_are_small_jpeg_images_inside_the_page(sheet):
    text = sheet([("mink", True, 0.9, "near otter"), ("mink", True, 0.8, "near otter")])
    for attrs in Page(text).all("img"):
        kind, _, data = attrs["src"].partition(",")
        assert kind == "data:image/jpeg;base64"
        image = Image.open(io.BytesIO(base64.b64decode(data)))
        assert image.format == "JPEG"
        assert max(image.size) <= 112


def test_hostile_names_stay_text(sheet):
    hostile = "<script>alert(1)</script>\"'&"
    text = sheet([(hostile, True, 0.9, hostile), (hostile, False, None, hostile)])
    page = Page(text)
    assert page.all("script") == []
    assert "default-src 'none'" in page.all("meta")[1]["content"]
    for _, attrs in page.tags:
        assert not any(key.startswith("on") for key in attrs)
        assert attrs.get("href", "#").startswith("#")


def test_a_file_that_vanished_is_no_error(sheet, tmp_path):
    candidates = [Candidate("mink", "x", str(tmp_path / "gone.png"))]
    rows = make_rows(candidates, [Verdict(True, "near", "otter", 0.5, ("otter",))], [], tmp_path)
    assert "no image" in write_contact_sheet(tmp_path, rows).read_text()
