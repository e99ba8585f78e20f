"""Formulas as MathML, which browsers show without a script, so that pages work offline."""

import re

from docutils import nodes
from docutils.utils.math import MathError, latex2mathml
from sphinx.util import logging

logger = logging.getLogger(__name__)


def _render(node, **kwargs):
    # What docutils' converter does not know: sizes without a side; an index of an accented letter,
    # which it would put below the letter.
    text = re.sub(r"\\([bB]ig)(?![a-zA-Z])", r"\\\1l", node.astext())
    text = re.sub(r"\\(hat|bar|tilde)\s*(\w|\{\w+\})_", r"\\\1{\2}{}_", text)
    try:
        return latex2mathml.tex2mathml(text, **kwargs)
    except MathError as error:
        logger.warning("%s in the formula %s", error, text, location=node)
        return f"<code>{text}</code>"


def _inline(self, node):
    self.body.append(_render(node))
    raise nodes.SkipNode


def _block(self, node):
    formula = _render(node, as_block=True)
    self.body.append(self.starttag(node, "div", CLASS="math-block"))
    self.body.append(f"{formula}</div>\n")
    raise nodes.SkipNode


def setup(app):
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    app.config.html_math_renderer = "mathml"
    return {"parallel_read_safe": True, "parallel_write_safe": True}
