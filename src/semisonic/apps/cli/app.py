"""``semisonic app``: a page in the browser."""

from __future__ import annotations

from semisonic.apps.cli.parser import command_from
from semisonic.apps.cli.session import Session, Status
from semisonic.apps.web.options import AppOptions


def app(options: AppOptions, session: Session) -> Status:
    """Try a model, listen live, label recordings and look at runs, in the browser.

    The page is served by this machine and needs nothing from the internet. What is dropped on it
    stays in a temporary folder until the app is closed. Ctrl-C closes it.
    """
    from semisonic.apps.web.serving import serve

    serve(options, session.say)
    return Status.OK


command = command_from(
    AppOptions,
    app,
    name="app",
    optional=("model",),
    examples=[
        "semisonic app runs/model",
        "semisonic app runs/model --folder path/to/recordings",
        "semisonic app --project runs/project",
        "semisonic app runs/model --host 0.0.0.0 --no-browser",
    ],
)
