"""What a report says of how its numbers came about."""

from __future__ import annotations

from collections.abc import Iterable

from semisonic.base.wording import counted
from semisonic.experiments.plan import Plan
from semisonic.experiments.recipe import TRAINED, Recipe
from semisonic.inference.methods.advice import AUTO
from semisonic.inference.methods.options import PROBE, PROTOTYPE, SOLVED, WITHOUT_POOL
from semisonic.training import FitOptions

SIMPLE = (
    "Simple classifiers learn from the labelled training clips alone: they hear no pool and choose "
    "no epoch. One without anything random in it gives the same scores in every draw of the same "
    "labels; its draws differ with few labels only. A clip longer than the window is scored by "
    "the mean of its windows."
)


def method_notes(recipe: Recipe, plan: Plan) -> list[str]:
    """How both arms were trained and tested, a sentence or two each."""
    networks = any(s.has_encoder for s in (*recipe.settings, *recipe.controls))
    notes = [
        f"Both arms ({recipe.control}, {recipe.treated}) share split, labels, seed"
        + (", order of clips and the classifier's first weights." if networks else "."),
        *_differences(recipe),
        "Each test fold is scored once, after training.",
    ]
    if any(len(job.validation) for job in plan.train):
        notes.append(
            f"{100 * recipe.validation:g} % of the training folds, whole recordings, choose the "
            "epoch; they are not trained on."
        )
    if any(job.budget.labels_per_class for job in plan.train):
        notes.append(
            "With few labels there is no validation part, as its labels would not be in the "
            "budget: training lasts all epochs and the last weights are tested. The labelled "
            "clips of each draw are in budgets.csv."
        )
    return notes


def short_trainings(recipe: Recipe, plan: Plan) -> list[str]:
    """A warning where trainings of a recipe hear fewer windows than there are clips."""
    notes = too_few_steps(
        "the pre-training for",
        "setting.pretrain.steps",
        ((job.setting.name, job.setting.pretrain, len(job.rows)) for job in plan.pretrain),
    )
    trained = (
        (f"{job.setting.name}, {job.arm}".removeprefix(", "), job.setting.train, len(job.train))
        for job in plan.train
        if job.setting.has_encoder and job.setting.method not in SOLVED
    )
    return notes + too_few_steps("the training of", "setting.train.steps", trained)


def too_few_steps(
    what: str, key: str, trainings: Iterable[tuple[str, FitOptions, int]]
) -> list[str]:
    """A warning where a training ends before each of its clips was heard once.

    Parameters
    ----------
    what : str
        What the names are of, as "the stage".
    key : str
        The recipe's key that asks for more steps.
    trainings : iterable of (name, how it is trained, clips it learns from)
    """
    short = [
        (fit.steps * fit.batch_size, n_clips, name, fit)
        for name, fit, n_clips in trainings
        if fit.steps and fit.steps * fit.batch_size < n_clips
    ]
    if not short:
        return []
    windows, n_clips, name, fit = min(short, key=lambda one: one[0] / one[1])
    others = len({one[2] for one in short} - {name})
    return [
        f"Too few steps for these data: {what} '{name}' hears {windows} windows of {n_clips} "
        f"clips ({counted(fit.steps, 'step')} of {fit.batch_size}), so at least "
        f"{n_clips - windows} of them are never heard"
        + (f", and {others} more do likewise" if others else "")
        + ". The numbers say what so short a training reaches, and little of the methods. One pass "
        f"over the clips takes {-(-n_clips // fit.batch_size)} steps: --change {key}=NUMBER."
    ]


def _differences(recipe: Recipe) -> list[str]:
    """In what the arms differ, over all settings."""
    pairs = list(zip(recipe.controls, recipe.settings, strict=True))
    notes = []
    if any(setting.classifier for pair in pairs for setting in pair):
        notes.append(SIMPLE)
    pairs = [(c, t) for c, t in pairs if c.has_encoder or t.has_encoder]
    if any(
        treated.pretraining and treated.has_encoder and not control.pretraining
        for control, treated in pairs
    ):
        notes.append(
            "Pre-training gives the encoder's first weights and the statistics that features are "
            "standardised by; without it, these come from the labelled training clips."
        )
    if any(setting.start == "synthetic" for pair in pairs for setting in pair):
        notes.append(
            "Some arms start from an encoder that has learned to name the made-up sounds of "
            "'synth'. No recording is in it, but its kinds of sounds were chosen by hand, and "
            "some are close to classes of the known data sets."
        )
    if any(setting.start == TRAINED for pair in pairs for setting in pair):
        notes.append(
            "Some arms start from the encoder of a classifier of another labelled set; their class "
            "layer is new. It was trained once, so the spread over draws does not hold its luck."
        )
    if any(t.train.needs_body for _, t in pairs):
        notes.append(
            "Some arms freeze the encoder at first, or let its deeper layers learn more slowly; "
            "see the options. They take as many steps as the control."
        )
    methods = sorted({t.method for c, t in pairs if t.method != c.method})
    if PROBE in methods or AUTO in methods:
        notes.append(
            "The method probe, which auto chooses where labels are few, learns a linear layer on "
            "the encoder's embeddings and leaves the encoder as it is. It has no epochs: its "
            "curves show rounds of guesses about the pool. Without a pool auto takes prototypes "
            "instead where these name labelled clips that were left out clearly better."
        )
    if PROTOTYPE in methods:
        notes.append(
            "The method prototype takes the mean embedding of each class's labelled clips for the "
            "class and leaves the encoder as it is."
        )
    methods = [method for method in methods if method not in (AUTO, *WITHOUT_POOL)]
    if methods:
        notes.append(
            f"'{recipe.treated}' learns from the unlabelled clips while it trains "
            f"({', '.join(methods)}); '{recipe.control}' does not hear them."
        )
    made = [(c.generated, t.generated) for c, t in pairs]
    if any(treated.is_used and not control.is_used for control, treated in made):
        heard = any(treated.generator_pool for _, treated in made)
        notes.append(
            "A generator learns from the labelled training clips of its fold and draw"
            f"{' and, without labels, from the pool' if heard else ''}. Its patches stand in "
            "training batches beside these clips, under the class they were made for, and nowhere "
            "else. All arms take as many steps with as many clips; the patches come in addition."
        )
    if any(t.how.augment != c.how.augment or t.how.mixup != c.how.mixup for c, t in pairs):
        notes.append("Some arms differ in augmentation; see the options.")
    return notes
