"""Pages of the site that are files outside docs/; mkdocs.yml lists this file under `hooks`.

Links are written for the repository. In the site, those to other pages lead to these pages.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
PAGES = {  # file in the repository -> page of the site
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "benchmarks/README.md": "speed.md",
}
_FILES = {page: file for file, page in PAGES.items()}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages to those of docs/."""
    for file, page in PAGES.items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / file)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Adapt the links of a page and the languages of its code blocks."""
    file = _FILES.get(page.file.src_uri, f"docs/{page.file.src_uri}")
    return adapt(markdown, posixpath.dirname(file))


def adapt(markdown: str, folder: str) -> str:
    """Turn the links of a file of the repository into links between pages of the site.

    Args:
        markdown: the text of the file.
        folder: its folder in the repository; "" is the repository itself.
    """

    def link(found: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(folder, found[1]))
        return f"]({PAGES.get(target, target.removeprefix('docs/'))}{found[2]})"

    # Markdown knows a language only, not the words after it, such as `parse-only`.
    text = re.sub(r"^```(\w+) .*$", r"```\1", markdown, flags=re.MULTILINE)
    return re.sub(r"\]\((?!\w+:)([^)#\s]+)((?:#[^)\s]*)?)\)", link, text)
