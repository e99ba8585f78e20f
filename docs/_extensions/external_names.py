"""Links to classes and functions of other packages, by the rule that their sites follow.

There is no inventory to fetch, so that the documentation builds without a network.
"""

from docutils import nodes

SITES = {
    "sklearn": "https://scikit-learn.org/stable/modules/generated/{name}.html",
    "torch": "https://docs.pytorch.org/docs/stable/generated/{name}.html",
    "numpy": "https://numpy.org/doc/stable/reference/generated/{name}.html",
    "joblib": "https://joblib.readthedocs.io/en/stable/generated/{name}.html",
    "pandas": "https://pandas.pydata.org/docs/reference/api/{name}.html",
}


def link(app, env, node, contents):
    """A link for a reference that this documentation does not resolve, if a site has it."""
    name = node.get("reftarget", "")
    site = SITES.get(name.split(".")[0])
    if node.get("refdomain") != "py" or site is None or "." not in name:
        return None
    reference = nodes.reference("", "", refuri=site.format(name=name), internal=False)
    reference += contents
    return reference


def setup(app):
    app.connect("missing-reference", link)
    return {"parallel_read_safe": True}
