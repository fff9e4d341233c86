"""``semisonic suspects``: labels that look wrong."""

from __future__ import annotations

from semisonic.apps.cli.parser import command_from
from semisonic.apps.cli.session import Session, Status
from semisonic.apps.cli.training_verbs import begin, finish
from semisonic.inference import SuspectsOptions


def suspects(options: SuspectsOptions, session: Session) -> Status:
    """Find labels that look wrong, to be listened to.

    Each label is judged by models that learned from other recordings only. The list, the most
    suspicious first, is written as a table and as a page with players. No label is changed.
    """
    options = begin(options, session, labelled="data")
    if session.dry_run:
        return Status.OK
    from semisonic.inference import suspects as work

    return finish(work(options), options.output, session)


command = command_from(
    SuspectsOptions,
    suspects,
    name="suspects",
    arguments=("data",),
    examples=[
        "semisonic suspects path/to/labelled -o runs/suspects",
        "semisonic suspects path/to/esc10 --repeats 3 --most 40",
        "semisonic suspects labels.csv --group site --model small --loss lq",
    ],
    resumes=True,
    plans=True,
)
