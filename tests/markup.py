"""What a page must be, whatever stands in it."""

import re
from html.parser import HTMLParser

VOID = {"meta", "img", "input", "line", "path", "circle", "polygon", "br"}


class Structure(HTMLParser):
    """Tags that are opened and closed in order, and every address."""

    def __init__(self, page):
        super().__init__(convert_charrefs=True)
        self.open, self.addresses, self.counts = [], [], {}
        self.feed(page)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.counts[tag] = self.counts.get(tag, 0) + 1
        self.addresses += [value for name, value in attrs if name in ("src", "href", "action", "data", "poster")]
        assert not any(name.startswith("on") for name, _ in attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag


def whole(written):
    """Hold a page for one whole file that needs nothing else."""
    structure = Structure(written)
    assert all(address.startswith("data:image/") for address in structure.addresses)
    assert structure.counts["html"] == structure.counts["h1"] == structure.counts["script"] == 1
    assert not re.search(r"https?:|@import|url\(", written)
    return written
