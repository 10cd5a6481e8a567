"""The page's parts."""

import base64
from html.parser import HTMLParser

import numpy as np

from img2img.data.images import decode
from img2img.report import html

NASTY = '<script src="x">alert(1)</script> & "quotes" \'too\''


class Reader(HTMLParser):
    """What a browser would find: tags, attributes, text."""

    def __init__(self, markup):
        super().__init__()
        self.tags, self.attributes, self.texts, self.open = [], [], [], []
        self.feed(markup)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, *attribute) for attribute in attrs]
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def test_every_text_is_escaped():
    image = np.zeros((4, 4, 3), np.uint8)
    markup = html.page(NASTY, [
        html.header(NASTY, NASTY, [(NASTY, NASTY)]),
        html.section(NASTY, html.paragraph(NASTY), html.folded(NASTY, html.paragraph(NASTY))),
        html.table([NASTY], [[(NASTY, NASTY), NASTY]], main=NASTY),
        html.charts([(NASTY, "<svg></svg>")]),
        html.pictures(NASTY, [(NASTY, image)]),
    ])  # fmt: skip
    page = Reader(markup)
    assert page.open == []
    assert "script" not in page.tags
    assert page.texts.count(NASTY) >= 12
    assert ("img", "alt", f"{NASTY}: {NASTY}") in page.attributes


def test_the_page_fetches_nothing_and_fits_a_phone_and_the_dark():
    markup = html.page("run", [html.paragraph("hello")])
    page = Reader(markup)
    assert ("meta", "name", "viewport") in page.attributes
    assert "prefers-color-scheme: dark" in markup
    assert "default-src 'none'" in markup
    assert "//" not in markup
    assert "url(" not in markup
    assert "@import" not in markup


def test_a_data_uri_holds_the_picture():
    flat = np.full((32, 48, 3), (200, 30, 90), np.uint8)
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    for image, kind in ((flat, "png"), (noise, "jpeg")):
        head, _, data = html.data_uri(image).partition(",")
        assert head == f"data:image/{kind};base64"
        decoded = decode(base64.b64decode(data, validate=True), "uri")
        assert decoded.shape == image.shape
        assert np.abs(decoded.astype(int) - image).mean() < 60
        assert np.abs(decoded.mean(axis=(0, 1)) - image.mean(axis=(0, 1))).max() < 3


def test_the_main_row_stands_out():
    markup = html.table(["metric", "value"], [["a", "1"], ["b", "2"]], main="b")
    assert Reader(markup).attributes.count(("tr", "class", "main")) == 1
    assert markup.index('class="main"') > markup.index(">a<")


def test_shares_are_drawn_as_heat():
    markup = html.heat_table([NASTY, "egg"], [("<pan>", [0.25, None])])
    reader = Reader(markup)
    assert reader.open == []
    assert "script" not in reader.tags
    styles = [value for _, name, value in reader.attributes if name == "style"]
    assert styles == ["--heat:0.250", "--heat:0.000"]
    assert reader.texts == [NASTY, "egg", "<pan>", "0.2500", "–"]


def test_empty_sections_and_charts_vanish():
    assert html.section("Curves", "", "") == ""
    assert html.charts([("loss", "")]) == ""
    assert "figcaption" not in html.charts([("", "<svg></svg>")])


def test_figures():
    values = [None, 0.123456, 47.6123, 3, 1e-7, 0.99998]
    assert [html.figure(v) for v in values] == ["–", "0.1235", "47.61", "3", "1e-07", "0.99998"]
