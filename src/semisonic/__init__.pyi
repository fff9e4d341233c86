"""The public names: ``__init__.py`` imports each from here when it is first used."""

from .api import calibrate as calibrate
from .api import curve as curve
from .api import evaluate as evaluate
from .api import find_rate as find_rate
from .api import predict as predict
from .api import pretrain as pretrain
from .api import run_recipe as run_recipe
from .api import scan as scan
from .api import suspects as suspects
from .api import train as train
from .api import tune as tune
from .audio.live import Microphone as Microphone
from .audio.live import Pipe as Pipe
from .audio.live import Playback as Playback
from .classifier.classifier import SoundClassifier as SoundClassifier
from .classifier.config import MethodOptions as MethodOptions
from .classifier.config import PretextOptions as PretextOptions
from .classifier.cross_validation import cross_validate as cross_validate
from .classifier.detection.detect import detect as detect
from .classifier.encoders import get_encoder as get_encoder
from .classifier.encoders import list_encoders as list_encoders
from .classifier.export import export as export
from .classifier.live.listen import listen as listen
from .classifier.live.scorer import LiveScorer as LiveScorer
from .classifier.live.scorer import LiveTracker as LiveTracker
from .classifier.options import EventOptions as EventOptions
from .core.errors import SemisonicError as SemisonicError
from .data.clips import Clips as Clips
from .data.datasets.load import load_clips as load_clips
from .data.duplicates import find_duplicates as find_duplicates
from .data.show import show as show
from .data.splits import fold_splits as fold_splits
from .data.splits import label_budget as label_budget
from .data.splits import split as split
from .data.summary import describe as describe
from .features.options import MelOptions as MelOptions
from .features.options import register_augmentation as register_augmentation
from .labeling.embed import embed as embed
from .labeling.index import EmbeddingIndex as EmbeddingIndex
from .labeling.label_log import LabelLog as LabelLog
from .labeling.project import Project as Project
from .labeling.suggest import suggest as suggest
from .models.registry import register as register
from .training.options import FitOptions as FitOptions

__version__: str
