"""XMP packets: reads lists of texts, and appends to lists without changing any other byte.

A packet is RDF in XML (ISO 16684-1). A list is a property whose value is an array:

    <rdf:RDF><rdf:Description><PROPERTY><rdf:Seq><rdf:li>TEXT</rdf:li></rdf:Seq></PROPERTY> ...
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from html import escape

_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_DECLARED = f'xmlns:rdf="{_RDF}"'
_ROOT, _NODE, _ITEM, _ABOUT = (
    f"{{{_RDF}}}{name}" for name in ("RDF", "Description", "li", "about")
)
_EMPTY = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
    f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF {_DECLARED}></rdf:RDF></x:xmpmeta>'
    '<?xpacket end="w"?>'
).encode()
_LARGEST = 2**22  # bytes of a packet that is parsed, which takes up to about two seconds


@dataclass(frozen=True)
class Property:
    """A property: the URI of its namespace, the usual prefix, and its name."""

    namespace: str
    prefix: str
    name: str

    @property
    def tag(self) -> str:
        """The name with the namespace, as a parser returns it."""
        return f"{{{self.namespace}}}{self.name}"

    @property
    def declaration(self) -> str:
        """The attribute that declares the prefix."""
        return f'xmlns:{self.prefix}="{escape(self.namespace)}"'

    def __str__(self) -> str:
        return f"{self.prefix}:{self.name}"


Item = str | Mapping[Property, str]  # of a list: a text, or a structure


def read_list(packet: bytes, wanted: Property) -> list[str]:
    """Return the texts of a list; empty if the packet lacks it.

    Raises:
        ValueError: the packet is not well-formed, has a document type, or is too large.
    """
    return _parse(packet).texts.get(wanted.tag, [])


def append_items(packet: bytes | None, items: Mapping[Property, Item]) -> bytes:
    """Append an item to each of these lists, which are created if the packet lacks them.

    Args:
        packet: the packet, of which all bytes are kept; None for a new one.
        items: what to append, by property.

    Raises:
        ValueError: the packet cannot be read, or has no place for the items.
    """
    packet = packet or _EMPTY
    found = _parse(packet)
    created, inserted = "", {}
    for prop, item in items.items():
        if prop.tag in found.ends:
            inserted[found.ends[prop.tag]] = _to_xml(item)
        else:
            content = f"<rdf:Seq>{_to_xml(item)}</rdf:Seq>"
            created += f"<{prop} {prop.declaration}>{content}</{prop}>"
    if created and _ROOT in found.ends:
        about = f'rdf:about="{escape(found.about)}"'
        node = f"<rdf:Description {_DECLARED} {about}>{created}</rdf:Description>"
        inserted[found.ends[_ROOT]] = node
    for place in sorted(inserted, reverse=True):
        packet = packet[:place] + inserted[place].encode() + packet[place:]
    again = _parse(packet)
    for prop, item in items.items():  # such as in a list without an end tag, or in UTF-16
        before, after = (one.texts.get(prop.tag, []) for one in (found, again))
        if after != [*before, item if isinstance(item, str) else ""]:
            raise ValueError(f"{prop} cannot be added")
    return packet


def _to_xml(item: Item) -> str:
    """Format an item as an element that declares its prefixes."""
    if isinstance(item, str):
        return f"<rdf:li {_DECLARED}>{escape(item, quote=False)}</rdf:li>"
    declared = dict.fromkeys(prop.declaration for prop in item)
    values = (f'{prop}="{escape(value)}"' for prop, value in item.items())
    return f"<rdf:li {' '.join([_DECLARED, *declared, *values])}/>"


class _Packet:
    """Collects what a parser finds in a packet.

    Args:
        position: returns the position of the current tag in bytes.

    Attributes:
        texts: the texts of each list, by the tag of its property; a structure is an empty text.
        ends: the positions of the end tags of the lists, and of the RDF by its own tag.
        about: what the packet is about, usually empty.
    """

    def __init__(self, position: Callable[[], int]) -> None:
        self.texts: dict[str, list[str]] = {}
        self.ends: dict[str, int] = {}
        self.about = ""
        self._position = position
        self._path: list[str] = []

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        """Note the start of an element."""
        self._path.append(tag)
        if self._path[-2:] == [_ROOT, _NODE]:
            self.about = self.about or attributes.get(_ABOUT, "")
        elif self._path[-5:-3] == [_ROOT, _NODE] and tag == _ITEM:
            self.texts.setdefault(self._path[-3], []).append("")

    def data(self, text: str) -> None:
        """Note text."""
        if self._path[-5:-3] == [_ROOT, _NODE] and self._path[-1] == _ITEM:
            self.texts[self._path[-3]][-1] += text

    def end(self, tag: str) -> None:
        """Note the end of an element."""
        if self._path[-4:-2] == [_ROOT, _NODE]:
            self.ends[self._path[-2]] = self._position()
        elif tag == _ROOT:
            self.ends[tag] = self._position()
        self._path.pop()


def _parse(packet: bytes) -> _Packet:
    from defusedxml.common import DefusedXmlException
    from defusedxml.ElementTree import DefusedXMLParser, ParseError

    if len(packet) > _LARGEST:
        raise ValueError(f"it is larger than {_LARGEST >> 20} MB")
    found = _Packet(lambda: int(parser.parser.CurrentByteIndex))
    parser = DefusedXMLParser(target=found, forbid_dtd=True)
    try:
        parser.feed(packet.rstrip(b"\0"))  # some programs fill the rest of a packet with zeros
        parser.close()
    except DefusedXmlException as error:
        raise ValueError("it has a document type") from error
    except ParseError as error:
        raise ValueError(f"it is not well-formed: {error}") from error
    return found
