"""Templates and assets of the nine sites."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse, Response

from sandbox.form import first

if TYPE_CHECKING:
    from collections.abc import Mapping

_FOLDER = Path(__file__).parent / "pages"


class Pages:
    """Renders templates; a name that a template does not know is an error, not a blank."""

    def __init__(self) -> None:
        self._environment = Environment(
            loader=FileSystemLoader(_FOLDER), autoescape=True, undefined=StrictUndefined, trim_blocks=True
        )

    def page(self, template: str, status: int, context: Mapping[str, Any]) -> HTMLResponse:
        """A page as a response."""
        return HTMLResponse(self._environment.get_template(template).render(context, first=first), status)

    def style(self, slug: str) -> Response:
        """A site's style sheet: what all share, then its own."""
        sheets = (_FOLDER / "base.css", _FOLDER / slug / "style.css")
        return Response("\n".join(sheet.read_text("utf-8") for sheet in sheets), media_type="text/css")

    def script(self, slug: str) -> Response:
        """A site's script."""
        text = (_FOLDER / slug / "site.js").read_text("utf-8")
        return Response(text, media_type="text/javascript")
