"""``semisonic pretrain``: learn an encoder from recordings without labels."""

from __future__ import annotations

from semisonic.apps.cli.parser import command_from
from semisonic.apps.cli.session import Session, Status
from semisonic.apps.cli.training_verbs import begin, finish
from semisonic.inference import PretrainOptions


def pretrain(options: PretrainOptions, session: Session) -> Status:
    """Learn an encoder from recordings without labels.

    An auto-encoder learns to draw spectrograms again from a narrow code, or to clean or complete
    them; or an encoder learns to know two views of a clip as one (--objective). The encoder is
    saved, and 'semisonic train --encoder' starts from it.
    """
    options = begin(options, session, pool="data")
    if session.dry_run:
        return Status.OK
    from semisonic.inference import pretrain as work

    return finish(
        work(options),
        options.output,
        session,
        f"semisonic train LABELLED --encoder {options.output}",
    )


command = command_from(
    PretrainOptions,
    pretrain,
    name="pretrain",
    arguments=("data",),
    examples=[
        "semisonic pretrain path/to/recordings -o runs/encoder",
        'semisonic pretrain path/to/recordings --model "(32)5c-2p-64fc" --epochs 20',
        "semisonic pretrain path/to/recordings --objective simclr --epochs 60",
        "semisonic pretrain synth -o runs/encoder",
    ],
    resumes=True,
    plans=True,
)
