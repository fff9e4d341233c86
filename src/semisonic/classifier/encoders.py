"""General encoders by name: a list, the download, and the encoder made from the file."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from semisonic.classifier import run_files
from semisonic.classifier.provenance import PublishedOrigin
from semisonic.core.errors import ModelError, OptionError
from semisonic.core.files import content_hash
from semisonic.core.html import Result
from semisonic.core.options import nearest
from semisonic.core.temporary import temporary_folder
from semisonic.core.text import bytes_text, text_table
from semisonic.core.user_cache import cache_part
from semisonic.data.datasets.catalogue import RemoteFile
from semisonic.data.datasets.download import download
from semisonic.features.frontend import Frontend
from semisonic.features.options import WAVE, MelOptions
from semisonic.models.encoder_table import ENCODERS, FOLDER, NAME, GeneralEncoder, encoder_place
from semisonic.models.inspection import count_parameters
from semisonic.models.model_file import load_encoder, save_encoder
from semisonic.models.networks.frozen import FrozenGraph, cut_graph, network_name
from semisonic.models.networks.tflite import TfliteGraph, cut_tflite, is_tflite
from semisonic.models.pretrained import PretrainedEncoder
from semisonic.models.published import PUBLISHED, convert_published
from semisonic.models.registry import create

if TYPE_CHECKING:
    import pandas as pd

ADDRESSES = ("http://", "https://")
LENGTH = 5.0
"""Seconds of a clip, if no length is given and the network has none."""
MOST_BYTES = 2 << 30
"""Most bytes of a file of weights, which is also the limit of ONNX."""
_COLUMNS = ("name", "for", "input", "embedding", "licence", "size", "here")


@dataclass(frozen=True)
class EncoderList(Result):
    """The general encoders, and the user's own.

    Attributes
    ----------
    encoders : tuple of GeneralEncoder
    own : tuple of str
        Names of encoders in the user's cache that are not in the list.
    """

    encoders: tuple[GeneralEncoder, ...]
    own: tuple[str, ...] = ()

    def _rows(self) -> list[list[str]]:
        rows = []
        for one in self.encoders:
            place = encoder_place(one.name)
            length = f", windows of {one.window:g} s" if one.window else ""
            here = str(place) if place.is_file() else "no"
            hears = f"{one.sample_rate / 1000:g} kHz{length}"
            size = bytes_text(one.size)
            rows.append([one.name, one.use, hears, str(one.dim), one.licence, size, here])
        for name in self.own:
            found = load_encoder(encoder_place(name))
            dim, hears = found.encoder.out_channels, f"{found.mel.sample_rate / 1000:g} kHz"
            rows.append([name, "", hears, str(dim), "your own", "", str(encoder_place(name))])
        return rows

    def to_frame(self) -> pd.DataFrame:
        """A row per encoder: name, purpose, input, size of the embedding, licence, file."""
        import pandas as pd

        return pd.DataFrame(self._rows(), columns=list(_COLUMNS))

    def summary(self) -> str:
        """The text for a terminal: a table, and the licences below it."""
        at = _COLUMNS.index("licence")
        rows = self._rows()
        table = text_table(
            [*_COLUMNS[:at], *_COLUMNS[at + 1 :]], [row[:at] + row[at + 1 :] for row in rows]
        )
        licences = [f"  {row[0]}: {row[at]}" for row in rows]
        end = "get one with: semisonic encoder get NAME; use it with --encoder NAME"
        return "\n".join([table, "", "licences:", *licences, "", end])


def list_encoders() -> EncoderList:
    """The general encoders by name, and which of them are installed.

    Returns
    -------
    EncoderList
        ``print(list_encoders().summary())`` shows a table.
    """
    folder = encoder_place("any").parent
    names = sorted(path.stem for path in folder.glob("*.encoder")) if folder.is_dir() else []
    return EncoderList(tuple(ENCODERS.values()), tuple(n for n in names if n not in ENCODERS))


@dataclass(frozen=True)
class EncoderPlan:
    """A plan to download a file and make an encoder from it.

    Attributes
    ----------
    about : GeneralEncoder
    source : str
        A path, or the address to download it from.
    """

    about: GeneralEncoder
    source: str

    @property
    def fetches(self) -> bool:
        """Whether the plan downloads anything."""
        return self.source.startswith(ADDRESSES)

    @property
    def checksum(self) -> str:
        """The checksum that the file must have; empty if it is not known."""
        return self.about.checksum if self.source == self.about.url else ""

    def lines(self) -> list[str]:
        """The plan as text: what, from where, under which licence, and how it is checked."""
        one = self.about
        if self.checksum:
            checked = f"its SHA-256, {self.checksum.partition(':')[2]}"
        else:
            checked = "nothing, as its hash is not known; the hash found is printed and recorded"
        lines = [one.title, f"trained on: {one.trained_on}", f"source: {one.source}"]
        lines += [f"licence: {one.licence}"] + ([f"page: {one.page}"] if one.page else [])
        size = f", about {bytes_text(one.size)}" if one.size and self.fetches else ""
        lines += [f"{'from' if self.fetches else 'file'}: {self.source}{size}"]
        return [*lines, f"checked by: {checked}"]


def plan_encoder(
    name: str, source: str = "", *, sample_rate: int = 0, window: float = 0.0, tensor: str = ""
) -> EncoderPlan:
    """Make the plan for an encoder; download and write nothing.

    Parameters
    ----------
    name : str
        One of :func:`list_encoders`, or a new name for an ONNX or TFLite file.
    source : str
        A path or an address; by default the public source.
    sample_rate : int
        Sample rate of the user's own file, in Hz.
    window : float
        Length of the window of the user's own file, in seconds; 0: as the file says.
    tensor : str
        Name of the embedding in that file.

    Raises
    ------
    OptionError
        For an unknown name without a source, or options that do not apply to it.
    """
    if not NAME.fullmatch(name):
        raise OptionError(
            f"option 'name': found '{name}', expected up to 40 small letters, digits, - and _"
        )
    given = {"sample_rate": sample_rate, "window": window, "tensor": tensor}
    if (known := ENCODERS.get(name)) is not None:
        for option, value in given.items():
            if value:
                raise OptionError(
                    f"option '{option}': found {value}, but '{name}' has a known value; leave "
                    "the option out"
                )
        return EncoderPlan(known, source or known.url)
    if not source:
        raise OptionError(
            f"encoder '{name}': {nearest(name, ENCODERS)}; for your own file, give --source"
        )
    if not sample_rate:
        raise OptionError(
            f"option 'sample_rate' is missing: give the sample rate that {source} takes"
        )
    own = GeneralEncoder(
        name,
        f"{name} ({_file_name(source)})",
        sample_rate,
        "as its authors say; not checked here",
        f"the file {source}",
        "as its authors say",
        window=window,
        tensor=tensor,
    )
    return EncoderPlan(own, source)


def _file_name(source: str) -> str:
    """The last part of a path or an address."""
    if source.startswith(ADDRESSES):
        return unquote(urlsplit(source).path).rpartition("/")[2] or "encoder.onnx"
    return Path(source).name


@dataclass(frozen=True)
class EncoderResult(Result):
    """A general encoder that is now installed.

    Attributes
    ----------
    name : str
        For ``encoder=`` and ``--encoder``.
    network : PretrainedEncoder
    encoder : Path
        Its file in the user's cache.
    """

    name: str
    network: PretrainedEncoder
    encoder: Path

    def to_frame(self) -> pd.DataFrame:
        """One row: name, network, number of parameters, file."""
        import pandas as pd

        n = count_parameters(self.network)
        row = {"name": self.name, "network": self.network.name, "parameters": n}
        return pd.DataFrame([{**row, "encoder": str(self.encoder)}])

    def summary(self) -> str:
        """For a terminal."""
        network, mel = self.network, self.network.mel
        told = network.published
        what = f"{count_parameters(network):,} parameters, can be trained further"
        if not network.encoder.trainable:
            runner = "LiteRT" if network.name.startswith("tflite:") else "onnxruntime"
            what = f"run by {runner} unchanged"
        unchecked = "" if told["checked"] else " (not checked, as no hash is known)"
        lines = [
            f"{told['title']}: {what}",
            f"input: {mel.duration:g} s at {mel.sample_rate} Hz, shorter clips padded",
            f"SHA-256 of {told['file']}: {told['sha256']}{unchecked}",
            *PublishedOrigin.told(told).facts(),
            f"encoder: {self.encoder}, for --encoder {self.name}",
        ]
        return "\n".join(lines)


def get_encoder(
    name: str | EncoderPlan,
    source: str = "",
    *,
    duration: float = 0.0,
    sample_rate: int = 0,
    window: float = 0.0,
    tensor: str = "",
) -> EncoderResult:
    """Download a general encoder, or take it from a file, to use it by its name.

    See :func:`list_encoders` for its licence; by calling this function you accept it. Nothing in
    the file is run as code.

    Parameters
    ----------
    name : str or EncoderPlan
        Such as ``"yamnet"``, or a new name for your own ONNX or TFLite file.
    source : str
        A path or an address to get it from, instead of its public source.
    duration : float
        Length of the clips it will be used for, in seconds; 0 for 5 s, or the length of a window.
    sample_rate, window, tensor
        As for :func:`plan_encoder`.

    Returns
    -------
    EncoderResult

    Raises
    ------
    DataError
        If it cannot be downloaded, or is not the published file.
    ModelError
        If the file is missing, damaged, of another network, or needs code to be run.
    OptionError
        For an unknown name, or an option out of range.
    """
    plan = name if isinstance(name, EncoderPlan) else None
    if plan is None:
        how = {"sample_rate": sample_rate, "window": window, "tensor": tensor}
        plan = plan_encoder(str(name), str(source), **how)  # type: ignore[arg-type]
    if not isfinite(duration) or (duration and not 0.5 <= duration <= 60):
        raise OptionError(f"option 'duration': found {duration:g} s, expected 0.5 to 60 s")
    about, folder = plan.about, cache_part(FOLDER)
    file, target = Path(plan.source), encoder_place(about.name)
    if plan.fetches:
        size = about.size or None if plan.checksum else None  # else it is a rough one
        remote = RemoteFile(_file_name(plan.source), plan.source, plan.checksum, size)
        file = download(remote, folder / f".{about.name}-{remote.name}", MOST_BYTES)
    elif not file.is_file():
        raise ModelError(f"{file}: no such file; expected the weights of {about.title}")
    elif (n_bytes := file.stat().st_size) > MOST_BYTES:
        raise ModelError(
            f"{file}: has {bytes_text(n_bytes)}, expected at most {bytes_text(MOST_BYTES)}; is it "
            "another file?"
        )
    sha256 = content_hash(file)
    with temporary_folder() as place:
        weights = _inside(file, about.members, place)
        if about.name in PUBLISHED:
            network = convert_published(about.name, weights, duration=duration or LENGTH)
        else:
            network = _frozen(about, weights, sha256, duration)
    network.published = {
        **about.told(),
        "file": _file_name(plan.source),
        "sha256": sha256,
        "checked": f"sha256:{sha256}" == about.checksum,
    }
    options = {"name": about.name, "source": plan.source, "duration": network.mel.duration}
    save_encoder(target, network, about={**run_files.stamp("encoder get"), "options": options})
    if plan.fetches:
        file.unlink()
    return EncoderResult(about.name, network, target)


def _inside(file: Path, members: tuple[str, ...], place: Path) -> Path:
    """The weights unpacked from a zip in a zip, or the file itself."""
    for number, name in enumerate(members):
        if not zipfile.is_zipfile(file):
            return file
        with zipfile.ZipFile(file) as archive:
            if name not in archive.namelist():
                return file
            size = archive.getinfo(name).file_size
            if size > MOST_BYTES:
                raise ModelError(
                    f"{file}: its '{name}' has {bytes_text(size)}, expected at most "
                    f"{bytes_text(MOST_BYTES)}; is it another file?"
                )
            archive.extract(name, place / str(number))
        file = place / str(number) / name
    return file


def _frozen(
    about: GeneralEncoder, weights: Path, sha256: str, duration: float
) -> PretrainedEncoder:
    """An encoder that onnxruntime or LiteRT runs; its graph is saved beside the encoder's file."""
    kind = "tflite" if is_tflite(weights) else "onnx"
    cut: Callable[..., FrozenGraph | TfliteGraph]
    cut = cut_tflite if kind == "tflite" else cut_graph
    graph = cut(
        weights,
        encoder_place(about.name, f".{kind}"),
        sha256,
        n_samples=round(about.window * about.sample_rate),
        tensor=about.tensor,
        dim=about.dim,
    )
    length = duration or graph.n_samples / about.sample_rate
    mel = replace(MelOptions(input=WAVE), sample_rate=about.sample_rate, duration=length)
    body = create(network_name(about.name, sha256, kind), mel.shape)
    frontend = Frontend(mel, "none")
    return PretrainedEncoder(body.encoder, frontend, body.name, neck=body.neck).eval()
